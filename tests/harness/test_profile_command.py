"""`mtpbench profile`: what it measures, stores, shows again and refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness import profiling
from harness.client import CallFailed
from mtpbench.cli import run
from results.curve import curve
from results.errors import RunFileError
from results.judge import judge
from results.records import Failure
from results.runfile import RunFile

SMALL = ["-m", "demo", "-p", "64", "-n", "24", "--prompts", "5", "--threads", "1"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("profile") / "demo.profile.json"
    assert run(["profile", *SMALL, "--k-max", "4", "--out", str(out)]) == 0
    return out


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a usage error."""
    capsys.readouterr()
    assert run(["profile", *arguments]) == 2
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert said.out == "" and len(lines) == 1
    return lines[0]


def damaged(stored: Path, folder: Path, **changes: Any) -> str:
    path = folder / "other.json"
    path.write_text(json.dumps(json.loads(stored.read_text()) | changes))
    return str(path)


@pytest.mark.model
def test_acceptance_is_what_a_run_measures_at_every_draft_length(stored: Path, tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    arguments = ["run", "-b", "reference", *SMALL, "-k", "1-4", "--repeats", "1", "--no-report", "--out", str(out)]
    assert run(arguments) == 0
    with RunFile.open(out) as file:
        cells = judge(file).cells
    points = curve(profiling.read(stored)).points
    assert [cell.draft_length for cell in cells] == [point.draft_length for point in points] == [1, 2, 3, 4]
    for cell, point in zip(cells, points, strict=True):
        measured, told = cell.acceptance, point.acceptance
        assert measured is not None and told is not None
        for figure in ("rounds", "rounds_left_out"):
            assert getattr(told, figure) == getattr(measured, figure)
        for figure in ("length", "low", "high", "rate", "per_position"):
            assert getattr(told, figure) == pytest.approx(getattr(measured, figure)), figure
        assert told.per_request == pytest.approx(measured.per_request)
        assert told.by_category.keys() == measured.by_category.keys()
        for name, part in told.by_category.items():
            expected = measured.by_category[name]
            assert (part.length, part.low, part.high, part.rounds) == pytest.approx(
                (expected.length, expected.low, expected.high, expected.rounds)
            )


@pytest.mark.model
def test_a_stored_profile_is_shown_again_and_keeps_what_was_seen(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["profile", str(stored)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "acceptance profile · demo · 64-token prompts · up to 24 new tokens · greedy · float32 on cpu" in shown
    assert "5 prompts, 120 tokens, drafted from at every one" in shown
    assert run(["profile", str(stored), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["pair"], found["k_max"], len(found["points"])) == (1, "demo", 4, 4)
    kept = profiling.read(stored)
    assert kept.facts.files and kept.provenance["cpu"] and kept.sweep["seed"] == 0
    assert all(len(text.prompt.token_ids or ()) == 64 and len(text.continuation) == 24 for text in kept.texts)


@pytest.mark.model
def test_random_weights_are_told_wherever_the_profile_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "random.json")
    asked = ["-m", "random:tiny-E2B", "-w", "demo", "-p", "20", "-n", "6", "--prompts", "2", "--k-max", "2"]
    assert run(["profile", *asked, "--raw", "--device", "cpu", "--json", "--out", out]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["synthetic"] is True
    assert f"profile  {out}" in said.err
    assert run(["profile", out]) == 0
    assert "SYNTHETIC" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--k-max", "0"], "--k-max 0: expected a draft length of 1 to 64"),
        (["--k-max", "65"], "--k-max 65: expected a draft length of 1 to 64"),
        (["-p", "64,256"], "-p 64,256: a profile is of one; make one for each"),
        (["-m", "demo", "-m", "E2B"], "-m demo,E2B: a profile is of one"),
        (["-m", "demmo"], "unknown pair 'demmo': did you mean demo?"),
        (["-n", "none"], "-n 'none': expected a number of new tokens of at least 1"),
        (["-o", "vllm.x=1"], "options for vllm, not one of reference"),
        (["nowhere.json"], "nowhere.json: cannot be read: No such file"),
        (["nowhere.json", "-n", "4", "--category", "a"], "leave out -n, --category"),
        (["--out", "."], "--out .: that is a folder; name a file in it, e.g. demo.profile.json"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in refusal(arguments, capsys)
    assert not [*tmp_path.iterdir()]


@pytest.mark.model
@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("rejected_kv=visible", "a profile needs reference.rejected_kv=hidden"),
        ("acceptance=0.5", "leave out the acceptance that is forced"),
    ],
)
def test_options_under_which_there_is_no_profile_are_one_line(
    option: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "none.json"
    assert says in refusal([*SMALL, "-o", f"reference.{option}", "--out", str(out)], capsys)
    assert not out.exists()


def test_an_engine_that_fails_is_exit_code_4_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise CallFailed(Failure("oom", "reference: out of memory"), alive=True)

    monkeypatch.setattr(profiling, "measure", fails)
    assert run(["profile", "--out", str(tmp_path / "p.json")]) == 4
    assert capsys.readouterr().err.strip() == "mtpbench: no profile: reference: out of memory"
    assert not [*tmp_path.iterdir()]


# ------------------------------------------------------------------------------------------------- strangers' files


@pytest.mark.model
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema": 2}, "schema 2 is not 1, which this version reads"),
        ({"k_max": 10**9}, "a damaged acceptance profile: Profile: k_max must lie in 1..64"),
        ({"texts": []}, "at least one text"),
        ({"pair": 3}, r"Profile\.pair: expected str"),
        ({"more": 1}, "unknown fields"),
    ],
)
def test_a_file_that_was_changed_is_refused(stored: Path, tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(RunFileError, match=says):
        profiling.read(Path(damaged(stored, tmp_path, **changes)))


@pytest.mark.model
def test_counts_that_accept_more_than_follows_are_refused(stored: Path, tmp_path: Path) -> None:
    texts = json.loads(stored.read_text())["texts"]
    texts[0]["accepted"][-1] = 4
    with pytest.raises(RunFileError, match=r"texts\[0\]: .* accept more than follows"):
        profiling.read(Path(damaged(stored, tmp_path, texts=texts)))


@pytest.mark.parametrize("content", ["", "[1, 2]", '{"schema": 1}', "[" * 100_000, "SQLite format 3"])
def test_a_file_that_is_none_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / "none.json"
    path.write_text(content)
    with pytest.raises(RunFileError, match="no acceptance profile") as refused:
        profiling.read(path)
    assert "\n" not in str(refused.value)
