"""The public face: what `mtpbench` exports, and how the command line treats bad input."""

import subprocess
import sys
from pathlib import Path

import pytest

import mtpbench
from mtpbench.cli import run

PUBLIC = {"RunFile", "RunFileError", "RunVerdict", "Sweep", "UsageError", "__version__", "judge", "measure"}


def test_the_public_names_are_exactly_these_and_all_resolve() -> None:
    assert set(mtpbench.__all__) == PUBLIC
    assert all(getattr(mtpbench, name) is not None for name in PUBLIC)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mtpbench.nonsense


def test_help_names_every_command_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in (
        "run",
        "verify",
        "profile",
        "show",
        "report",
        "compare",
        "gate",
        "export",
        "runs",
        "doctor",
        "backends",
        "pairs",
        "workloads",
    ):
        assert f" {command} " in shown


def test_help_imports_nothing_heavy() -> None:
    code = "import sys; from mtpbench.cli import run; run(['--help']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "matplotlib", "numpy", "pydantic"} & set(done.stdout.split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of wrong things."""
    (tmp_path / "notes.sqlite").write_text("not a database, but long enough to look like a file of some kind " * 4)
    (tmp_path / "key.toml").write_text('pairs = ["demo"]\nbackend = ["transformers"]\n')
    (tmp_path / "kind.toml").write_text('pairs = ["demo"]\nbatch_sizes = "many"\n')
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "model").mkdir()
    return tmp_path


BAD = {
    "no such run file": ["show", "{}/absent.sqlite"],
    "a run file that is none": ["show", "{}/notes.sqlite"],
    "a folder as run file": ["report", "{}/model"],
    "no folder of runs": ["runs", "{}/absent"],
    "unknown backend": ["run", "-b", "transformer", "-m", "demo", "--dry-run"],
    "unknown pair": ["run", "-m", "dmeo", "--dry-run"],
    "unknown workload": ["run", "-m", "demo", "-w", "codnig", "--dry-run"],
    "a path that is no model": ["run", "-m", "{}/model", "--dry-run"],
    "draft length 0": ["run", "-m", "demo", "-k", "0", "--dry-run"],
    "empty prompt file": ["run", "-m", "demo", "-w", "{}/empty.txt", "--dry-run"],
    "unknown key in a sweep": ["run", "{}/key.toml", "--dry-run"],
    "wrong type in a sweep": ["run", "{}/kind.toml", "--dry-run"],
    "output folder that is a file": ["run", "-m", "demo", "--out", "{}/notes.sqlite/x.sqlite"],
    "no such sweep file": ["run", "{}/absent.toml"],
    "unknown option": ["run", "--bogus"],
    "unknown command": ["shwo"],
    "an option without its value": ["run", "-k"],
    "a missing argument": ["show"],
    "an unknown format": ["export", "x", "--format", "xml"],
    "unknown dtype": ["run", "-m", "demo", "--dtype", "float31", "--dry-run"],
    "verify: unknown pair": ["verify", "-m", "dmeo", "--dry-run"],
    "verify: a flag that only `run` has": ["verify", "--precision", "2%"],
    "verify: no draws": ["verify", "--draws", "0", "--dry-run"],
    "verify: one token": ["verify", "-n", "1", "--dry-run"],
    "verify: too few draws": ["verify", "--temperature", "0.8", "--draws", "1", "--prompts", "2", "--dry-run"],
    "verify: a temperature below 0": ["verify", "--temperature", "-1", "--dry-run"],
    "verify: no such run file to resume": ["verify", "--resume", "{}/absent.sqlite"],
    "verify: a resumed run elsewhere": ["verify", "--resume", "{}/absent.sqlite", "--out", "{}/other.sqlite"],
    "verify: a resumed run with another sweep": ["verify", "{}/key.toml", "--resume", "{}/absent.sqlite"],
    "verify: a plan of a resumed run": ["verify", "--resume", "{}/absent.sqlite", "--dry-run"],
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_gets_one_line_and_exit_code_2(what: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([part.format(folder) for part in BAD[what]]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert said.startswith("mtpbench: ")
    assert "Traceback" not in said


@pytest.mark.parametrize("price", ["nan", "inf", "0", "-1"])
@pytest.mark.parametrize("command", ["report", "recommend"])
def test_a_price_is_a_finite_number_above_0(command: str, price: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "absent.sqlite", "--price-per-hour", price]) == 2
    assert capsys.readouterr().err == f"mtpbench: --price-per-hour {price}: it is a finite number above 0\n"


def test_too_few_draws_and_too_short_outputs_name_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["verify", "-m", "demo", "--temperature", "0.8", "--prompts", "2", "-n", "24", "--dry-run", "--draws"]
    assert run([*few, "6"]) == 2
    assert "--draws 7 or more" in capsys.readouterr().err
    assert run([*few, "7"]) == 0
    assert run(["verify", "-m", "demo", "-n", "1", "--dry-run"]) == 2
    assert "ask for at least 2" in capsys.readouterr().err


def test_a_mistake_in_the_number_of_draws_names_the_flag_that_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--draws", "0", "--dry-run"]) == 2
    assert capsys.readouterr().err.startswith("mtpbench: --draws '0': expected ")
    assert run(["run", "--repeats", "0", "--dry-run"]) == 2
    assert capsys.readouterr().err.startswith("mtpbench: --repeats '0': expected ")
