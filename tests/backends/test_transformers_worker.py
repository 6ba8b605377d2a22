"""The Transformers adapter in its worker: the way every measurement takes."""

import dataclasses
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from children import Child
from the_demo_pair import ENGINE, PAIR

from backends.protocol import Close, Generate, Open, Probe, Score, request_line
from results.records import Draft, Pair, Prompt, Request, Sampling

pytestmark = pytest.mark.model


def test_a_pair_is_opened_measured_scored_and_closed_in_a_worker(
    tmp_path: Path, prompts: list[Prompt], references: list[dict[str, Any]]
) -> None:
    with Child("transformers", tmp_path / "log", os.environ) as child:
        assert child.ask(Probe()).availability.usable
        assert child.ask(Open(PAIR, ENGINE)).vocab_size == 2048
        generated = child.ask(Generate((prompts[0],), Request(24, Draft("mtp", 4), capture="rounds")))
        (seen,) = generated.generations
        assert list(seen.token_ids or ()) == references[0]["greedy_ids"][:24]
        assert seen.rounds
        assert seen.arrivals[-1].ns <= generated.wall_ns
        scores = child.ask(Score(prompts[0], seen.token_ids or (), Sampling()))
        assert all(score.best_id == score.token_id for score in scores)
        child.ask(Close())
        assert child.process.wait(20) == 0


def test_a_worker_inside_the_runtime_ends_with_its_parent(tmp_path: Path, prompts: list[Prompt]) -> None:
    with Child("transformers", tmp_path / "log", os.environ) as child:
        child.ask(Open(Pair("plain", PAIR.target, None), dataclasses.replace(ENGINE, methods=())))
        child.requests.write(request_line(Generate((prompts[0],) * 16, Request(1900, ignore_eos=True))))
        child.requests.flush()
        time.sleep(1.0)
        assert child.process.poll() is None
        child.requests.close()
        assert child.process.wait(5) == -signal.SIGKILL
