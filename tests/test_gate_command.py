"""`mtpbench gate` from the command line: exit codes, files, refusals, and how a look is extended."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from errno import ENOSPC
from itertools import count
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from support.big_run import write_big_run

from harness import extending
from harness.sweep import Sweep
from mtpbench.cli import run
from results.errors import UsageError

CLOCK = count(1)
pytestmark = pytest.mark.usefixtures("nowhere")


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not inside a CI job."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gate") / "before.sqlite"
    write_big_run(path, units=24, repeats=1)
    return path


def changed(before: Path, path: Path, slowdown: float) -> Path:
    """The same run, its drafted arms slower by so much, and a little noise."""
    shutil.copy(before, path)
    restate(path, created_unix_ns=next(CLOCK))
    rng = np.random.default_rng(1)
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT generation.id, arrivals FROM generation JOIN trial ON trial.id = trial_id "
            "JOIN cell ON cell.id = cell_id WHERE role = 'speculative'"
        ).fetchall()
        for row, blob in rows:
            arrivals = np.frombuffer(blob, "<i8").reshape(-1, 2).copy()
            arrivals[:, 0] = arrivals[:, 0] * (1 + slowdown) * np.exp(rng.normal(0, 0.003))
            connection.execute("UPDATE generation SET arrivals = ? WHERE id = ?", (arrivals.tobytes(), row))
        connection.commit()
    return path


def restate(path: Path, **facts: object) -> None:
    """Let the manifest say something else."""
    with closing(sqlite3.connect(path)) as connection:
        for key, value in facts.items():
            connection.execute("INSERT OR REPLACE INTO run VALUES (?, ?)", (key, json.dumps(value)))
        connection.commit()


@pytest.mark.parametrize(("slowdown", "code"), [(0.0, 0), (0.1, 1), (0.03, 3)])
def test_the_exit_code_is_the_decision(
    slowdown: float, code: int, before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = changed(before, tmp_path / "now.sqlite", slowdown)
    assert run(["gate", str(now), "--baseline", str(before)]) == code
    assert {0: "PASS", 1: "FAIL", 3: "INCONCLUSIVE"}[code] in capsys.readouterr().out


def test_three_baselines_gate_tpot_and_every_output_is_written(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = changed(before, tmp_path / "now.sqlite", 0.1)
    others = [str(changed(before, tmp_path / f"{i}.sqlite", i / 1000)) for i in (1, 2)]
    given = [argument for name in (str(before), *others) for argument in ("--baseline", name)]
    files = [tmp_path / "gate.xml", tmp_path / "gate.md"]
    code = run(["gate", str(now), *given, "--json", "--junit", str(files[0]), "--summary", str(files[1])])
    told = json.loads(capsys.readouterr().out)
    assert code == 1 and told["decision"] == "fail" and len(told["baselines"]) == 3
    tpot = [f for f in told["findings"] if f["criterion"] == "TPOT"]
    assert len(tpot) == 10 and all(f["estimate"] == pytest.approx(0.1, abs=0.02) for f in tpot)
    assert ElementTree.parse(files[0]).getroot().tag == "testsuites"
    assert files[1].read_text("utf-8").startswith("## mtpbench gate: FAIL")


def test_in_a_github_job_the_summary_grows_and_annotations_follow_the_quiet_table(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, summary = changed(before, tmp_path / "now.sqlite", 0.1), tmp_path / "summary.md"
    summary.write_text("what another step wrote\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert run(["gate", str(now), "--baseline", str(before)]) == 1
    text = summary.read_text("utf-8")
    assert text.startswith("what another step wrote\n") and "## mtpbench gate: FAIL" in text
    first, *lines = capsys.readouterr().out.splitlines()
    token = first.removeprefix("::stop-commands::")
    resumed = lines.index(f"::{token}::")
    assert not any(line.startswith("::") for line in lines[:resumed])
    assert all(line.startswith("::error ") for line in lines[resumed + 1 :])
    assert run(["gate", str(now), "--baseline", str(before), "--json"]) == 1
    found = capsys.readouterr()
    assert json.loads(found.out)["schema"] == 1 and "::error " in found.err
    assert run(["gate", str(now), "--baseline", str(before), "--no-annotations", "--summary", str(summary)]) == 1
    assert "::" not in capsys.readouterr().out
    assert summary.read_text("utf-8").count("## mtpbench gate: FAIL") == 3, "named or not, a step's summary only grows"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--allow", "anything"], "--allow anything: expected one of hardware, settings, prompts"),
        (["--max-speedup-loss", "much"], "--max-speedup-loss much: expected a number, such as 0.03 or 3%, or off"),
        (["--min-speedup", "fast"], "--min-speedup fast: expected a number, such as 1.5, or off"),
        (["--max-slowdown", ""], "--max-slowdown '': expected a number, such as 0.03 or 3%, or off"),
        (["--max-speedup-loss", "nan"], "--max-speedup-loss: nan is not a share"),
        (["--max-slowdown", "-1%"], "--max-slowdown: -0.01 is not a share"),
        (["--min-speedup", "0"], "--min-speedup: 0 is not a ratio above 0"),
        (["--level", "0.5"], "mtpbench: --level 0.5: it is between 0 and 0.5"),
        (["--level", "1e-17"], "mtpbench: --level 1e-17 and --looks 1: of 10 checks each would be judged at 1e-18"),
        (["--looks", "1000"], "mtpbench: --level 0.025 and --looks 1000: of 10 checks each would be judged at 3e-12"),
        (["--looks", "0"], "mtpbench: --looks 0: it is at least 1"),
        (["--look", "0"], "mtpbench: --look 0: it is from 1 to 1"),
        (["--looks", "2", "--look", "3"], "mtpbench: --look 3: it is from 1 to 2, the looks that were declared"),
        (["--extend"], "--extend takes further looks, which are declared before the first, e.g. with --looks 3"),
        (["--extend", "--looks", "2", "--look", "2"], "all looks that were declared before the first are spent"),
        (["--junit", "no/such/folder/x.xml"], "cannot write no/such/folder/x.xml"),
        (["--junit", "x", "--summary", "./x"], "cannot write x: JUnit XML and the summary cannot be one file"),
        (["--baseline", "absent.sqlite"], "absent.sqlite"),
        (["--baseline", "{before}"], "hold the same run"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    given: list[str], told: str, before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = changed(before, tmp_path / "now.sqlite", 0.0)
    assert run(["gate", str(now), "--baseline", str(before), *(each.format(before=before) for each in given)]) == 2
    found = capsys.readouterr().err
    assert told in found and found.count("\n") == 1


def test_a_check_that_is_off_is_not_made(before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = changed(before, tmp_path / "now.sqlite", 0.1)
    names = ("--max-speedup-loss", "--min-speedup", "--max-slowdown", "--max-acceptance-drop")
    off = [argument for name in names for argument in (name, "off")]
    assert run(["gate", str(now), "--baseline", str(before), "--json", *off]) == 0
    assert {one["criterion"] for one in json.loads(capsys.readouterr().out)["findings"]} == {"status"}


def test_a_verdict_whose_files_cannot_be_written_is_shown_all_the_same(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    now, junit = changed(before, tmp_path / "now.sqlite", 0.1), tmp_path / "gate.xml"
    assert run(["gate", str(now), "--baseline", str(before), "--junit", str(junit)]) == 2
    found = capsys.readouterr()
    assert "FAIL" in found.out and found.err == f"mtpbench: cannot write {junit}: No space left on device\n"


def test_nothing_is_measured_for_a_verdict_that_has_nowhere_to_go(
    before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extending, "extend", lambda *_, **__: pytest.fail("measured"))
    now = changed(before, tmp_path / "now.sqlite", 0.03)
    arguments = ["gate", str(now), "--baseline", str(before), "--looks", "4", "--extend"]
    assert run([*arguments, "--junit", str(tmp_path / "no" / "gate.xml")]) == 2


def test_a_gate_needs_a_baseline(before: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["gate", str(before)]) == 2
    assert "--baseline" in capsys.readouterr().err


def test_an_inconclusive_look_is_extended_until_it_is_decided(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = changed(before, tmp_path / "now.sqlite", 0.03)
    asked: list[tuple[int, bool]] = []

    class Done:
        state = "finished"

    def extend(path: Path, look: int, observer: object, *, trust_remote_code: bool) -> Done:
        asked.append((look, trust_remote_code))
        if look == 2:
            changed(before, path, 0.1)
        return Done()

    monkeypatch.setattr(extending, "extend", extend)
    arguments = ["gate", str(now), "--baseline", str(before), "--looks", "4", "--extend"]
    assert run(arguments) == 1
    assert asked == [(1, False), (2, False)]
    found = capsys.readouterr()
    assert "look 3 of 4" in found.out
    assert "look 1 of 4: INCONCLUSIVE" in found.err
    Done.state = "interrupted"
    assert run(["gate", str(changed(before, now, 0.03)), *arguments[2:]]) == 130
    assert "--look 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sweep", "look", "last", "expected"),
    [
        ({"launches": 1}, 1, 0, {"repeats": 2, "precision": None}),
        ({"launches": 1, "precision": 0.02}, 2, 3, {"repeats": 6, "precision": 1e-9}),
        ({"launches": 3}, 1, 2, {"repeats": 2, "precision": None}),
    ],
)
def test_an_extension_adds_what_a_look_had(
    sweep: dict[str, object],
    look: int,
    last: int,
    expected: dict[str, object],
    before: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "run.sqlite"
    shutil.copy(before, path)
    restate(path, sweep=sweep)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE trial SET repeat = ? WHERE phase = 'headline'", (last,))
        connection.commit()
    seen: list[dict[str, object]] = []
    monkeypatch.setattr(extending, "resume", lambda path, overrides, observer: seen.append(overrides))
    extending.extend(path, look, trust_remote_code=True)
    assert seen == [{**expected, "trust_remote_code": True}]


def test_nothing_is_measured_on_another_machine(before: Path, tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    shutil.copy(before, path)
    restate(path, provenance={"machine": "another"}, sweep=Sweep(name="simulated").describe())
    with pytest.raises(UsageError, match="another machine"):
        extending.extend(path, 1)


def test_gating_imports_nothing_heavy(before: Path, tmp_path: Path) -> None:
    code = "import sys; from mtpbench.cli import run; run(sys.argv[1:]); print(*sys.modules)"
    given = ["gate", str(changed(before, tmp_path / "now.sqlite", 0.0)), "--baseline", str(before)]
    done = subprocess.run([sys.executable, "-c", code, *given], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rsplit("\n", 2)[-2].split())
    assert "numpy" in loaded and not {"torch", "pandas", "matplotlib", "scipy", "pydantic"} & loaded


def test_output_that_nobody_reads_is_never_a_pass(before: Path, tmp_path: Path) -> None:
    now = changed(before, tmp_path / "now.sqlite", 0.1)
    command = [sys.executable, "-m", "mtpbench", "gate", str(now), "--baseline", str(before)]
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode == 141
    finally:
        os.close(writer)
