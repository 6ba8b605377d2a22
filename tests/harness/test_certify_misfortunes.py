"""Scorers that fail, hang or make no sense, runtimes without one, and a harness that is killed before scoring."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certifying import Certified
from driving import start

from harness.experiment import resume
from harness.sweep import Sweep

Certify = Callable[..., Certified]

DIVERGES = [{"draft": 2, "at": 3, "how": "wrong"}]


def failures(done: Certified) -> list[tuple[str, str] | None]:
    return [t.failure and (t.failure.kind, t.failure.message) for t in done.certificates]


def statuses(done: Certified) -> set[str]:
    return {cell.status for cell in done.verdict.cells}


@pytest.mark.parametrize(
    ("do", "kind", "message"),
    [
        ("error", "error", "ValueError: no such shape"),
        ("memory", "oom", "MemoryError: 4 GiB wanted"),
        ("usage", "error", "the drafter does not fit: hidden size 8, not 16"),
        ("short", "error", "12 tokens were to be scored, 11 scores came back"),
        ("shifted", "error", "the scores that came back are not those of the tokens that were sent"),
        ("other", "error", "the scores that came back are not those of the tokens that were sent"),
        ("exit", "crash", "scripted-scorer: the worker ended with exit code 3 during score"),
    ],
)
def test_a_scoring_call_that_fails_is_a_stored_failure_and_the_sweep_goes_on(
    certify: Certify, do: str, kind: str, message: str
) -> None:
    done = certify({"scoring": [{"nth": 1, "do": do, "once": "failed"}]})
    assert failures(done) == [(kind, message), None, None]
    assert len(done.sequences) == 3 * (1 + 1 + 2 + 2)
    assert Counter(prompt for prompt, _ in done.forced) == {2: 1, 3: 1}
    assert statuses(done) == {"ok"}
    assert [found.verdict for found in done.greedy] == ["identical"] * 2


def test_a_scorer_that_hangs_is_killed_and_its_engine_comes_up_again(certify: Certify) -> None:
    options = {"scoring": [{"nth": 1, "do": "hang", "once": "hung"}]}
    done = certify(options, trial_timeout="2s")
    first, *others = failures(done)
    assert first == ("timeout", "scripted-scorer: no answer to score within 2 s; the worker was killed")
    assert others == [None, None]
    assert done.certificates[0].wall_ns >= 2e9
    assert [trial.launch_id for trial in done.certificates] == [1, 2, 2]


def test_after_a_few_failures_a_group_s_outputs_are_left_alone_and_those_of_others_are_not(certify: Certify) -> None:
    scoring = [{"nth": nth, "do": "error"} for nth in (1, 3)]  # groups alternate: these are of the first one
    done = certify({"scoring": scoring}, prompt_tokens=[16, 32], prompts=4)
    of_first, of_second = (
        [trial.failure is not None for trial in done.certificates if trial.cell_id == plain]
        for plain in sorted({trial.cell_id for trial in done.certificates})
    )
    assert of_first == [True, True]
    assert of_second == [False] * 4
    assert len(done.calls) == 6


def test_where_every_scoring_fails_cells_are_identical_or_untested(certify: Certify) -> None:
    done = certify({"scoring": [{"do": "error"}], "diverge": DIVERGES})
    assert failures(done) == [("error", "ValueError: no such shape")] * 2
    assert len(done.calls) == 2
    assert [found.verdict for found in done.greedy] == ["identical", "untested"]
    assert done.greedy[1].unclassified == 3
    assert "could not be scored" in done.greedy[1].reason
    assert statuses(done) == {"ok"}


def test_sampled_outputs_that_could_not_be_scored_are_untested(certify: Certify) -> None:
    sampled = {"temperature": [0.8], "draft_lengths": [2], "output_tokens": 40}
    (found,) = certify({"scoring": [{"do": "error"}]}, **sampled).sampled
    assert (found.verdict, {test.name for test in found.tests}) == ("untested", {"permutation"})
    assert found.reason


def test_a_runtime_that_cannot_score_is_identical_or_untested_for_that_reason(certify: Certify) -> None:
    done = certify({"diverge": DIVERGES}, "scripted-mute")
    assert done.certificates == []
    assert [found.verdict for found in done.greedy] == ["identical", "untested"]
    assert "cannot score" in done.greedy[1].reason


def test_an_output_whose_replay_failed_is_scored_again_as_a_whole_at_the_next_visit(certify: Certify) -> None:
    """First the plain output and one that differs are scored; the replay of the latter fails."""
    options = {"scoring": [{"nth": 3, "do": "error"}], "diverge": DIVERGES}
    done = certify(options, speed=True, prompts=1, repeats=2)
    assert [trial.failure is not None for trial in done.certificates] == [True, False]
    assert done.forced == [(1, "plain"), (1, "speculative")]
    assert done.replayed == [3]
    assert done.greedy[1].verdict == "unexplained"


# ------------------------------------------------------------------------------------- a harness that is killed


def logged(path: Path) -> list[tuple[int, tuple[int, ...]]]:
    """(length of the prompt, tokens) of every scoring call so far."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [(call["prompt"], tuple(call["tokens"])) for call in map(json.loads, lines)]


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_run_killed_between_block_and_scoring_scores_when_resumed_and_nothing_twice(
    bench: Path, sweep: Callable[..., Sweep], temperature: float
) -> None:
    """Killed while the second unit's first output is being scored: its block is whole, its scores are not there."""
    path, log, hung = bench / "run.sqlite", bench / "calls.jsonl", bench / "hung"
    per_unit = 1 if temperature == 0 else 4
    options: dict[str, Any] = {"log": str(log), "scoring": [{"nth": per_unit + 1, "do": "hang", "once": str(hung)}]}
    overrides = {"temperature": [temperature], "repeats": 1, "output_tokens": 110, "speed": False}
    process = start(path, sweep(options, "scripted-scorer", **overrides))
    while not hung.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.communicate()
    before = logged(log)
    assert len(before) == per_unit + 1
    assert len(Certified(path, log).certificates) == 1
    assert resume(path).state == "finished"
    done = Certified(path, log)
    assert [trial.unit for trial in done.certificates] == [0, 1, 2]
    assert logged(log)[per_unit + 1 :].count(before[-1]) == 1
    assert Counter(Counter(logged(log)).values()) == {1: 3 * per_unit - 1, 2: 1}
    assert len(done.forced) == 3 * per_unit
    assert len(done.sequences) == len(set(done.sequences)) * (6 if temperature == 0 else 1)
