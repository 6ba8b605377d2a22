"""`mtpbench recommend` from the command line: text, JSON, exit codes, refusals."""

import json
import shutil
from pathlib import Path

import pytest
from support.fake_run import write
from support.paced import paced, watts

from mtpbench.cli import run as mtpbench
from results.choosing.objective import Name
from results.runfile import RunFile

RECORDED = Path(__file__).parent / "data" / "recorded-a.sqlite"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write(tmp_path_factory.mktemp("run") / "run.sqlite", paced(telemetry=watts(100, 100))))


def test_the_command_recommends(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mtpbench(["recommend", file]) == 0
    text = capsys.readouterr().out
    assert text.startswith("Best for latency: fake at batch 1, k = 4: 5.0")
    assert "Draft 4 tokens a round" in text


@pytest.mark.parametrize("objective", ["latency", "throughput", "cost", "energy"])
def test_the_command_gives_json(file: str, objective: Name, capsys: pytest.CaptureFixture[str]) -> None:
    assert mtpbench(["recommend", file, "--for", objective, "--price-per-hour", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["schema"], found["objective"], found["choices"][0]["outcome"]) == (1, objective, "faster")


def test_the_command_says_how_to_deploy_what_it_recommends(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []

    def known(run: RunFile, chosen: list[int]) -> dict[int, str]:
        asked.append(chosen)
        return {cell_id: f"start cell {cell_id}" for cell_id in run.cells()}

    monkeypatch.setattr("harness.deployments.deployments", known)
    assert mtpbench(["recommend", file, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["choices"]
    assert asked == [[found["chosen"]]]
    assert found["deployment"] == f"start cell {found['chosen']}"
    assert mtpbench(["recommend", file]) == 0
    text = capsys.readouterr().out
    assert f"To deploy it:\nstart cell {found['chosen']}\n" in text
    assert text.count("start cell") == 1


def test_a_file_and_its_copy_are_refused_by_recommend_and_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    one, two = (str(shutil.copy(RECORDED, tmp_path / name)) for name in ("one.sqlite", "two.sqlite"))
    for command in (["recommend", one, two], ["report", one, two, "-o", str(page)]):
        assert mtpbench(command) == 2
        line = capsys.readouterr().err
        assert f"{one} and {two} hold the same run" in line
        assert line.count("\n") == 1
    assert not page.exists()


@pytest.mark.parametrize("price", ["1e308", "1e-300"])
def test_an_odd_price_gives_short_figures(file: str, price: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mtpbench(["recommend", file, "--for", "cost", "--price-per-hour", price]) == 0
    text = capsys.readouterr().out
    assert "∞" not in text
    assert "0000" not in text
    assert " per million tokens" in text.splitlines()[0]


def test_the_command_knows_which_runtimes_only_measure(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.deployments.measure_only", lambda names: dict.fromkeys(names, "It measures."))
    assert mtpbench(["recommend", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["picks"][0]["not_deployed"] == "It measures."


def test_nothing_left_is_exit_code_1_and_one_line(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mtpbench(["recommend", file, "--max-tpot-ms", "1"]) == 1
    line = capsys.readouterr().err
    assert line.startswith("mtpbench: nothing can be recommended: no setting keeps the limits: TPOT 5.0")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--for", "cost"], "--price-per-hour"),
        (["--for", "beauty"], "beauty"),
        (["--memory", "much"], "--memory much: expected a size, e.g. 24GB"),
        (["--max-tpot-ms", "-1"], "--max-tpot-ms -1"),
    ],
)
def test_mistakes_are_one_line(
    file: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mtpbench(["recommend", file, *arguments]) == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "limit"), [("24GB", 24e9), ("1.5 GiB", 1.5 * 2**30), ("800000000", 8e8), ("7mb", 7e6)]
)
def test_sizes_are_read(file: str, text: str, limit: float, capsys: pytest.CaptureFixture[str]) -> None:
    assert mtpbench(["recommend", file, "--memory", text, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["wishes"]["memory_bytes"] == limit


def test_a_file_that_is_no_run_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_text("x")
    assert mtpbench(["recommend", str(tmp_path / "x")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
