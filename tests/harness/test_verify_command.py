"""`mtpbench verify` over scripted runtimes: every exit code, and going on after an interrupt."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mtpbench.cli import run
from results.runfile import RunFile


def arguments(bench: Path, *more: str, backend: str = "scripted-scorer", **options: object) -> list[str]:
    pair, texts = f"{bench}/pair:{bench}/pair", str(bench / "texts.jsonl")
    given = [f"{backend}.{key}={json.dumps(value).replace(': ', ' = ')}" for key, value in options.items()]
    common = ["-b", backend, "-m", pair, "-w", texts, "-k", "1,2", "-p", "16", "-n", "12", "--prompts", "3"]
    return ["verify", *common, "--no-report", *more, *(part for option in given for part in ("-o", option))]


def verified(capsys: pytest.CaptureFixture[str], command: list[str]) -> tuple[int, dict[str, Any]]:
    code = run([*command, "--json"])
    return code, json.loads(capsys.readouterr().out)


def diverges(how: str, **more: object) -> list[dict[str, object]]:
    return [{"draft": 2, "at": 5, "how": how, **more}]


def test_identical_output_and_explained_divergences_are_exit_code_0(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options, verdict in (({}, "identical"), ({"diverge": diverges("tie")}, "equivalent")):
        code, found = verified(capsys, arguments(bench, "--out", str(bench / f"{verdict}.sqlite"), **options))
        assert (code, found["certificate"]["equivalence"], found["certificate"]["sampling"]) == (0, verdict, None)


def test_an_unexplained_divergence_is_exit_code_1_and_names_the_cell(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = verified(capsys, arguments(bench, "--out", str(bench / "run.sqlite"), diverge=diverges("wrong")))
    assert (code, found["certificate"]["equivalence"]) == (1, "unexplained")
    (reason,) = found["certificate"]["reasons"]
    assert "mtp k = 2" in reason
    assert [cell["equivalence"]["verdict"] for cell in found["cells"]] == ["identical", "unexplained"]


def test_a_divergence_that_nobody_could_score_is_exit_code_3(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether the runtime has no scores, or its scorer fails."""
    failing: dict[str, object] = {"scoring": [{"do": "error"}]}
    for backend, options in (("scripted-mute", {}), ("scripted-scorer", failing)):
        out = str(bench / f"{backend}.sqlite")
        command = arguments(bench, "--out", out, backend=backend, diverge=diverges("wrong"), **options)
        code, found = verified(capsys, command)
        assert (code, found["certificate"]["equivalence"]) == (3, "untested")


def test_a_cell_that_fails_is_exit_code_4_and_1_is_stronger(bench: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = [{"draft": 1, "capture": "rounds", "do": "error"}]
    code, found = verified(capsys, arguments(bench, "--out", str(bench / "failed.sqlite"), script=script))
    assert (code, [cell["status"] for cell in found["cells"]]) == (4, ["failed", "ok"])
    options = {"script": script, "diverge": diverges("wrong")}
    code, found = verified(capsys, arguments(bench, "--out", str(bench / "both.sqlite"), **options))
    assert (code, [cell["status"] for cell in found["cells"]]) == (1, ["failed", "ok"])


@pytest.mark.parametrize(("bias", "code", "verdict"), [(0.0, 0, "not distinguishable"), (0.3, 1, "biased")])
def test_a_fair_sampler_is_exit_code_0_and_a_biased_one_1(
    bench: Path, capsys: pytest.CaptureFixture[str], bias: float, code: int, verdict: str
) -> None:
    sampled = ["--temperature", "0.8", "--draws", "40", "--out", str(bench / "run.sqlite")]
    found, certificate = verified(capsys, arguments(bench, *sampled, bias=bias))
    assert (found, certificate["certificate"]["sampling"]) == (code, verdict)
    for cell in certificate["cells"]:
        assert (cell["sampling"]["negative_control"], cell["sampling"]["positive_control"]) == (True, True)
        assert cell["equivalence"] is None


def test_an_interrupted_verification_is_exit_code_130_and_its_own_advice_finishes_it(bench: Path) -> None:
    out, log = bench / "run.sqlite", bench / "calls.jsonl"
    slow = arguments(bench, "--out", str(out), log=str(log), score_s=0.5, diverge=diverges("wrong"))
    command = [sys.executable, "-m", "mtpbench"]
    with subprocess.Popen([*command, *slow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        while not log.exists():
            assert child.poll() is None
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    advice = next(line for line in said.splitlines() if "--resume" in line).partition("mtpbench ")[2].split()
    assert advice == ["verify", "--resume", str(out)]
    done = subprocess.run([*command, *advice, "--no-report"], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    with RunFile.open(out) as file:
        assert file.state == "finished"
        assert len(list(file.query("SELECT 1 FROM score WHERE kind = 'prefill'"))) == 3 * 2


def test_a_finished_verification_is_resumed_only_for_more_draws(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(bench / "run.sqlite")
    assert run(arguments(bench, "--temperature", "0.8", "--draws", "10", "--out", out)) == 0
    capsys.readouterr()
    assert run(["verify", "--resume", out]) == 2
    assert capsys.readouterr().err.endswith(
        "is finished: to measure more, change --draws or --time-budget, or begin anew\n"
    )
    assert run(["verify", "--resume", out, "-k", "3", "--draws", "40"]) == 2
    assert "only --draws and --time-budget may change" in capsys.readouterr().err
    code, found = verified(capsys, ["verify", "--resume", out, "--draws", "40", "--no-report"])
    assert code == 0
    assert [cell["sampling"]["n"] for cell in found["cells"]] == [3 * 40 * 11] * 2


def test_a_run_that_is_timed_carries_the_certificate_and_its_exit_code(
    bench: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    timed = [
        "run",
        *arguments(bench, "--repeats", "1", "--out", str(bench / "run.sqlite"), diverge=diverges("wrong"))[1:],
    ]
    code, found = verified(capsys, timed)
    assert code == 1
    assert [cell["equivalence"]["verdict"] for cell in found["cells"]] == ["identical", "unexplained"]
    assert all(cell["speedup"] for cell in found["cells"])
