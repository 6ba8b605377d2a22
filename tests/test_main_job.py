"""The main job, as a user does it: the command line over the demo pair and the real Transformers, then every reader."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtpbench.cli import run
from results.runfile import RunFile

pytestmark = pytest.mark.model

# DESIGN's `show --json`, schema 1: keys may be added, none goes away.
CELL = set(
    """backend pair method draft_length batch_size prompt_tokens output_tokens temperature dtype device status reason
    synthetic n_prompts n_units baseline speculative speedup aa distinguishable acceptance equivalence sampling
    drafter_memory_bytes distinct_4grams""".split()
)
SPEEDUP = {"point", "these_prompts", "new_prompts", "confidence", "launches", "total_time_ratio", "e2e", "throughput"}
ACCEPTANCE = {"length", "low", "high", "rate", "per_position", "rounds", "rounds_left_out", "by_category"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The run file of a small run, and what `run --json` printed."""
    path = tmp_path_factory.mktemp("main") / "small.sqlite"
    sweep = "-b transformers -m demo -w demo -k 1,2 -p 64 -n 12 --prompts 3 --repeats 1 --time-budget 5m".split()
    done = subprocess.run(
        [sys.executable, "-m", "mtpbench", "run", *sweep, "--json", "--out", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"run file  {path}" in done.stderr
    return path, json.loads(done.stdout)


def shown(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run([str(argument) for argument in arguments]) == 0
    return capsys.readouterr().out


def test_every_cell_is_ok_and_its_acceptance_adds_up(measured: tuple[Path, dict[str, Any]]) -> None:
    cells = measured[1]["cells"]
    assert [(cell["draft_length"], cell["status"], cell["reason"]) for cell in cells] == [(1, "ok", ""), (2, "ok", "")]
    for cell in cells:
        found, k = cell["acceptance"], cell["draft_length"]
        assert len(found["per_position"]) == k
        assert found["length"] == pytest.approx(1 + sum(found["per_position"]))
        assert found["rate"] == pytest.approx(sum(found["per_position"]) / k)
        assert cell["n_units"] == cell["n_prompts"] == 3
        assert cell["aa"]["low"] < cell["aa"]["high"]
        assert cell["speedup"]["new_prompts"]["low"] < cell["speedup"]["point"] < cell["speedup"]["new_prompts"]["high"]


def test_the_json_is_that_of_the_contract_and_the_same_from_the_file(
    measured: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, printed = measured
    assert json.loads(shown(capsys, "show", path, "--json")) == printed
    assert printed["schema"] == 1
    assert "writer" not in printed["run"]  # a process id and a boot id are nobody's business
    for cell in printed["cells"]:
        assert cell.keys() >= CELL
        assert cell["speedup"].keys() >= SPEEDUP
        assert cell["acceptance"].keys() >= ACCEPTANCE
        assert cell["baseline"].keys() == cell["speculative"].keys() >= {"tpot_ms", "ttft_ms", "tokens_per_s"}
    assert printed["run"]["versions"]["transformers"]["transformers"]


def test_speculative_and_plain_arm_gave_the_same_tokens_in_both_passes(measured: tuple[Path, dict[str, Any]]) -> None:
    tokens: dict[int, set[tuple[int, ...]]] = {}
    with RunFile.open(measured[0]) as file:
        for trial_id, _ in file.trials():
            for prompt, seen in file.generations(trial_id):
                assert seen.token_ids is not None
                tokens.setdefault(prompt, set()).add(seen.token_ids)
    assert len(tokens) == 3
    assert all(len(outputs) == 1 for outputs in tokens.values())


def test_every_reader_reads_it(measured: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = measured
    assert "A/A" in shown(capsys, "show", path)
    assert path.with_suffix(".html").read_text("utf-8").startswith("<!DOCTYPE html>")
    report = path.with_name("again.html")
    assert shown(capsys, "report", path, "-o", report).strip() == str(report)
    assert json.loads(shown(capsys, "compare", path, path, "--json"))["cells"]
    assert path.name in shown(capsys, "runs", path.parent)
    for fmt in ("csv", "parquet", "json"):
        written = shown(capsys, "export", path, "--format", fmt).split()
        assert written
        assert all(Path(name).stat().st_size for name in written)


def test_a_report_never_replaces_the_run_file(
    measured: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = measured
    before = path.read_bytes()
    assert run(["report", str(path), "-o", str(path)]) == 2
    assert run(["report", str(path), "-o", str(path.parent)]) == 2
    assert path.read_bytes() == before
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert not list(path.parent.parent.glob("*.part"))
