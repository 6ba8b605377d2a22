"""The engines that are up: launched when first needed, relaunched a few times when they die, never left behind."""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from backends import discover
from backends.protocol import Open, Probe
from harness.client import CallFailed, Worker
from harness.environment import worker_environment
from harness.interpreters import advised, environment_of, interpreter_of
from harness.journal import Journal
from harness.observe import Observer
from harness.plan import Engine, Plan
from harness.telemetry import Monitor
from results.errors import UsageError
from results.records import Failure, Launch, SessionFacts

MAX_RELAUNCHES = 3
"""Of one engine, after its worker died or hung."""


@dataclass(frozen=True, slots=True)
class Running:
    """An engine that is up."""

    launch: Launch
    worker: Worker
    facts: SessionFacts
    launch_id: int
    monitor: Monitor


class Fleet:
    """The engines of a plan, by number. A context manager: leaving it ends every worker."""

    def __init__(self, plan: Plan, journal: Journal, observer: Observer) -> None:
        """No engine is launched yet. Logs go to a folder beside the run file."""
        self._plan = plan
        self._journal = journal
        self._observer = observer
        self._up: dict[int, Running] = {}
        self._deaths: dict[int, int] = {}
        self._launches: dict[int, int] = {}
        self.lost: dict[int, Failure] = {}
        """Engines that will not be launched again, and why."""

    def get(self, number: int) -> Running | None:
        """The engine, launched if it is not up; None once it is lost. Raises UsageError for wrong input."""
        if number not in self._up and number not in self.lost:
            self._launch(self._plan.engines[number])
        return self._up.get(number)

    def close(self, *, but: int | None = None) -> None:
        """Close every engine that is up, but this one; the next `get` launches it anew."""
        for number in [number for number in self._up if number != but]:
            running = self._up[number]
            running.worker.close()
            del self._up[number]

    def died(self, number: int, failure: Failure) -> None:
        """The worker of this engine is gone; the next `get` launches it anew, a bounded number of times."""
        engine = self._plan.engines[number]
        self._up.pop(number).worker.kill()
        self._observer.launch_failed(engine.backend, engine.pair.name, failure)
        self._deaths[number] = self._deaths.get(number, 0) + 1
        if self._deaths[number] > MAX_RELAUNCHES:
            self.lost[number] = failure

    def give_up(self, number: int, failure: Failure) -> None:
        """The engine is up but of no use: stored as a launch that failed."""
        running = self._up.pop(number)
        running.worker.kill()
        self._launches[number] = self._journal.launch(replace(running.launch, failure=failure))
        self._observer.launch_failed(running.launch.backend, running.launch.pair, failure)
        self.lost[number] = failure

    def launch_of(self, number: int) -> int:
        """Id of the engine's last launch, failed or not."""
        return self._launches[number]

    def _launch(self, engine: Engine) -> None:
        self._observer.launching(engine.backend, engine.pair.name)
        log = self._next_log(engine)
        started, clock = time.time_ns(), time.monotonic()
        try:
            interpreter = interpreter_of(engine.backend)
            secrets = discover.load(engine.backend).secrets(engine.config.options)
            environment = worker_environment(os.environ, self._plan.sweep.threads, secrets)
            worker = Worker(engine.backend, log, environment_of(interpreter, environment), interpreter)
        except OSError as error:
            raise UsageError(f"cannot start a worker that logs to {log}: {error.strerror or error}") from error
        launch = Launch(
            backend=engine.backend,
            pair=engine.pair.name,
            engine=engine.config,
            started_unix_ns=started,
            facts=None,
            log=log.relative_to(self._journal.path.parent).as_posix(),
        )
        try:
            facts = self._open(worker, engine)
            launch = replace(launch, facts=facts)
            launch_id = self._journal.launch(launch)
            running = Running(launch, worker, facts, launch_id, Monitor(worker.pid, facts.device))
        except CallFailed as error:
            worker.kill()
            self._lose(engine, launch, error.failure)
            return
        except UsageError as error:
            worker.kill()
            if engine.number not in self._deaths:
                raise
            self._lose(engine, launch, Failure("error", str(error)))  # it was right once: not the user's mistake
            return
        except BaseException:
            worker.kill()
            raise
        self._launches[engine.number] = launch_id
        self._up[engine.number] = running
        self._observer.launched(engine.backend, engine.pair.name, facts, time.monotonic() - clock)

    def _lose(self, engine: Engine, launch: Launch, failure: Failure) -> None:
        """The launch is stored as failed, and none follows."""
        self._launches[engine.number] = self._journal.launch(replace(launch, failure=failure))
        self.lost[engine.number] = failure
        self._observer.launch_failed(engine.backend, engine.pair.name, failure)

    def _open(self, worker: Worker, engine: Engine) -> SessionFacts:
        """Raises UsageError where the runtime cannot be used here, or finds the input wrong."""
        timeout_s = self._plan.sweep.start_timeout
        found = advised(engine.backend, worker.ask(Probe(), timeout_s).availability)
        if not found.usable:
            raise UsageError(
                f"backend {engine.backend} cannot be used here: {found.reason}; {found.advice}".rstrip("; ")
            )
        return worker.ask(Open(engine.pair, engine.config), timeout_s)

    def _next_log(self, engine: Engine) -> Path:
        folder = logs_of(self._journal.path)
        folder.mkdir(exist_ok=True)
        return folder / f"{len(list(folder.iterdir())) + 1:02}-{engine.backend}.log"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for running in self._up.values():
            running.worker.__exit__(kind, error, trace)
        self._up.clear()


def logs_of(path: Path) -> Path:
    """The folder of the workers' logs of a run file."""
    return path.with_name(f"{path.stem}.logs")
