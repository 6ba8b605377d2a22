"""A session in a worker of its backend's own environment, as the harness would have it, for tests of real runtimes.

    with hosted("llamacpp", pair, engine) as session: …

What a worker raises is raised again on this side as the same class, so that conformance tests need not know where a
session lives. `needs(name)` marks tests of a runtime whose environment must exist: without it they fail (in CI) or
say how to make it.
"""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest

from backends.base import GREEDY, Availability, EngineLost, Session
from backends.protocol import Ask, Encode, Generate, Open, Probe, Score
from harness import envs
from harness.client import CallFailed, Worker
from harness.environment import worker_environment
from harness.interpreters import environment_of, interpreter_of
from results.records import Encoded, EngineConfig, Generation, Pair, Prompt, Request, Sampling, TokenScore

R = TypeVar("R")

START_S = 600.0
CALL_S = 300.0
RAISED = {"ValueError": ValueError, "NotImplementedError": NotImplementedError, "RuntimeError": RuntimeError}
EVERY_RUNTIME = "MTPBENCH_EVERY_RUNTIME"
"""Environment variable: tests of a runtime whose environment is missing fail instead of being skipped."""


class HostedSession(Session):
    """A session whose engine lives in another process."""

    def __init__(self, worker: Worker, pair: Pair, engine: EngineConfig) -> None:
        self.worker = worker
        self.facts = _ask(worker, Open(pair, engine), START_S)

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        (found,) = _ask(self.worker, Encode((text,), chat=chat, thinking=thinking))
        return found

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        return [*_ask(self.worker, Generate(tuple(prompts), request)).generations]

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        return [*_ask(self.worker, Score(prompt, tuple(continuation), sampling))]


def _ask(worker: Worker, ask: Ask[R], timeout_s: float = CALL_S) -> R:
    try:
        return worker.ask(ask, timeout_s)
    except CallFailed as error:
        if error.failure.kind == "crash":
            raise EngineLost(error.failure.message) from error
        kind, _, message = error.failure.message.partition(": ")
        if kind in RAISED:
            raise RAISED[kind](message) from error
        raise


@contextmanager
def hosting(name: str, threads: int | None = 1, log: Path | None = None) -> Iterator[Worker]:
    """A worker of the backend's own environment, with nothing open."""
    interpreter = interpreter_of(name)
    environment = environment_of(interpreter, worker_environment(os.environ, threads))
    with (
        TemporaryDirectory() as folder,
        Worker(name, log or Path(folder) / "log", environment, interpreter) as worker,
    ):
        yield worker


@contextmanager
def hosted(name: str, pair: Pair, engine: EngineConfig, log: Path | None = None) -> Iterator[HostedSession]:
    """A session in such a worker."""
    with hosting(name, engine.threads, log) as worker:
        yield HostedSession(worker, pair, engine)


def probed(name: str) -> Availability:
    """What probing it in its own environment says."""
    with hosting(name) as worker:
        return _ask(worker, Probe()).availability


def needs(name: str) -> Any:
    """Skip, unless every runtime is asked for, where the environment of this backend was not made."""
    env = envs.find(name)
    missing = env is not None and env.state != "ready" and not os.environ.get(EVERY_RUNTIME)
    return pytest.mark.skipif(missing, reason=f"no environment: mtpbench env create {re.escape(name)}")
