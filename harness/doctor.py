"""What can be measured on this machine: every backend, asked in a worker of its own."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from backends import discover
from backends.base import Availability, Capabilities
from backends.protocol import Probe, Probed
from harness import provenance
from harness.client import CallFailed, Worker
from harness.environment import worker_environment
from harness.interpreters import advised, environment_of, interpreter_of
from results.errors import UsageError
from results.records import Json

PROBE_S = 120.0
"""For importing a runtime and looking for its devices."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One runtime, as it is here."""

    name: str
    title: str
    interpreter: str
    """The Python that hosts it."""
    availability: Availability
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Findings:
    """The whole examination."""

    machine: dict[str, Json]
    """As it would be stored with a run (`harness.provenance`)."""
    runtimes: tuple[Finding, ...]


def examine() -> Findings:
    """Probe every backend that can be named. A runtime that crashes or hangs while being probed is not usable."""
    environment = worker_environment(os.environ, None)
    names = discover.names()
    with ThreadPoolExecutor() as pool:  # threads only wait: the work is done in the workers
        runtimes = tuple(pool.map(lambda name: _examine(name, environment), names))
    return Findings(provenance.collect(environment), runtimes)


def _examine(name: str, environment: dict[str, str]) -> Finding:
    backend, interpreter = discover.load(name), interpreter_of(name)
    environment = environment_of(interpreter, environment)
    with (
        tempfile.TemporaryDirectory() as folder,
        Worker(name, Path(folder) / "log", environment, interpreter) as worker,
    ):
        try:
            found = worker.ask(Probe(), PROBE_S)
        except (CallFailed, UsageError) as error:
            said = worker.log_tail().splitlines()[-1:]
            reason = ": ".join(["probing it failed", str(error), *said])
            found = Probed(Availability(False, None, None, reason), backend.capabilities)
    return Finding(name, backend.title, interpreter, advised(name, found.availability), found.capabilities)
