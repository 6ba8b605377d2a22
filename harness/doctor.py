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
from results.errors import UsageError
from results.records import Json

PROBE_S = 120.0
"""For importing a runtime and looking for its devices."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One runtime, as it is here."""

    name: str
    title: str
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
    backend = discover.load(name)
    with tempfile.TemporaryDirectory() as folder, Worker(name, Path(folder) / "log", environment) as worker:
        try:
            found = worker.ask(Probe(), PROBE_S)
        except (CallFailed, UsageError) as error:
            reason = f"probing it failed: {error}"
            found = Probed(Availability(False, None, None, reason), backend.capabilities)
    return Finding(name, backend.title, found.availability, found.capabilities)
