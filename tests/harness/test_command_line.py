"""`mtpbench run` over a scripted runtime: exit codes, resuming, and small workloads."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from driving import wait_for_trials

from mtpbench.cli import run
from results.records import WARMUP
from results.runfile import RunFile


def arguments(bench: Path, *more: str) -> list[str]:
    pair = f"{bench}/pair:{bench}/pair"
    texts = str(bench / "texts.jsonl")
    return ["run", "-b", "scripted", "-m", pair, "-w", texts, "-k", "1,2", "-p", "16", "-n", "12", "--no-report", *more]


def statuses(path: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    capsys.readouterr()
    assert run(["show", str(path), "--json"]) == 0
    return [(cell["status"], cell["reason"]) for cell in json.loads(capsys.readouterr().out)["cells"]]


def test_a_cell_that_fails_is_exit_code_4_and_the_others_finish(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = json.dumps([{"draft": 2, "nth": n, "do": "error"} for n in range(1, 40)]).replace(":", " =")
    out = bench / "run.sqlite"
    assert run(arguments(bench, "--prompts", "3", "-o", f"scripted.script={script}", "--out", str(out))) == 4
    first, second = statuses(out, capsys)
    assert first == ("ok", "")
    assert second[0] == "failed"


def test_a_runtime_that_dies_before_the_first_call_is_exit_code_4_and_says_why(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = bench / "run.sqlite"
    assert run(arguments(bench, "-o", "scripted.encode=error", "--out", str(out))) == 4
    assert all(status == "failed" and "no such shape" in reason for status, reason in statuses(out, capsys))


def test_an_interrupted_run_is_exit_code_130_and_its_own_advice_finishes_it(bench: Path) -> None:
    out = bench / "run.sqlite"
    command = [sys.executable, "-m", "mtpbench"]
    slow = arguments(bench, "--prompts", "3", "-o", "scripted.sleep_s=0.05", "--out", str(out))
    with subprocess.Popen([*command, *slow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        wait_for_trials(out, 10, child)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    advice = next(line for line in said.splitlines() if "--resume" in line).partition("mtpbench ")[2].split()
    done = subprocess.run([*command, *advice, "--no-report"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with RunFile.open(out) as file:
        assert file.state == "finished"


def test_a_workload_smaller_than_the_usual_number_of_prompts_is_measured_whole(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (bench / "texts.jsonl").read_text().splitlines()[:6]
    (bench / "texts.jsonl").write_text("\n".join(lines))
    out = bench / "run.sqlite"
    assert run(arguments(bench, "--dry-run", "--json")) == 0
    planned = json.loads(capsys.readouterr().out)
    assert run(arguments(bench, "--out", str(out))) == 0
    assert statuses(out, capsys) == [("ok", "")] * 2
    with RunFile.open(out) as file:
        assert len(file.prompts()) == planned["units"] == 6
        assert len([trial for _, trial in file.trials() if trial.phase != WARMUP]) == planned["calls"]


def test_a_name_that_is_no_run_file_s_is_a_folder(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(bench, "--prompts", "2", "--out", str(bench / "v1.2"))) == 0
    assert len(list((bench / "v1.2").glob("*.sqlite"))) == 1


def test_resume_takes_no_plan_of_its_own(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["--dry-run"], ["--out", "x"]):
        assert run(["run", "--resume", str(bench / "run.sqlite"), *more]) == 2
    assert all(line.startswith("mtpbench: --") for line in capsys.readouterr().err.splitlines())
