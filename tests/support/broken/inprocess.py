"""The real harness over a session that is already open: the same plan, loop, wire and run file, without a process.

    with hosted(session):
        measured = measure(sweep, path)

Only the process is left out: requests and replies go through the wire's lines and the worker's own `Host`.
"""

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar
from unittest import mock

from backends import discover, protocol
from backends.base import Backend, Session
from backends.transformers import Adapter
from backends.worker import Host, reply_to
from harness import fleet, provenance
from harness.client import CallFailed
from results.errors import UsageError
from results.records import EngineConfig, Failure, Pair

R = TypeVar("R")


class Shared(Backend):
    """An adapter, but what it opens is a session that outlives the run.

    Transformers' takes one prompt at a time in both arms. So its plain arm is not decoded in another batch shape as a
    control: that would cost more than all else, and says how often to expect a divergence, but never flags an engine.
    """

    def __init__(self, session: Session, real: Backend | None = None) -> None:
        """real: the adapter; None: Transformers'."""
        known = real or Adapter()
        self.name, self.title = known.name, known.title
        self.capabilities = known.capabilities if real else replace(known.capabilities, max_batch_plain=1)
        self.probe = known.probe  # type: ignore[method-assign]
        self._session = session

    def probe(self) -> Any:
        """Replaced by the real one."""

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        yield self._session


class InProcessWorker:
    """Stands in for `harness.client.Worker`: answers at once, in this process."""

    def __init__(self, backend: str, log: Path, environment: Mapping[str, str], interpreter: str = "") -> None:
        log.touch()
        self.backend, self.log, self.pid, self.alive = backend, log, os.getpid(), True
        self._host = Host(backend)

    def ask(self, ask: protocol.Ask[R], timeout_s: float) -> R:
        try:
            return protocol.read_reply(ask, reply_to(self._host, protocol.request_line(ask)))
        except protocol.WorkerProblem as error:
            problem = error.problem
            if problem.kind == "usage":
                raise UsageError(problem.message) from error
            raise CallFailed(Failure(problem.kind, problem.message, problem.detail), alive=True) from error

    def close(self) -> None:
        """Nothing to release."""

    def kill(self) -> None:
        """Nothing to end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def hosted(session: Session, real: Backend | None = None) -> Iterator[None]:
    """Whatever the harness measures within is measured on this session.

    real: the adapter that it was opened by; None: Transformers'.
    """
    with (
        mock.patch.object(fleet, "Worker", InProcessWorker),
        mock.patch.object(discover, "load", return_value=Shared(session, real)),
        mock.patch.object(provenance, "collect", return_value={}),  # it is the same machine every time
        mock.patch.object(gc, "freeze"),  # here nothing is timed, and every run would freeze all that lives
        mock.patch.object(gc, "collect", return_value=0),
    ):
        yield
