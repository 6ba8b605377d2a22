"""What can be measured on this machine, asked of each runtime in a worker of its own (it may crash on import)."""

import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

from backends import discover
from backends.base import Availability, Capabilities
from backends.protocol import Probe
from harness import provenance
from harness.client import CallFailed, Worker
from harness.environment import worker_environment
from results.records import Json

_PROBE_S = 120.0
"""A first import of a large runtime from a cold disk takes most of a minute."""


@dataclass(frozen=True, slots=True)
class RuntimeFinding:
    """One runtime on this machine."""

    backend: str
    title: str
    availability: Availability
    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class Findings:
    """The whole examination."""

    python: str
    machine: dict[str, Json]
    """Provenance as a run file would store it."""
    runtimes: tuple[RuntimeFinding, ...]


def examine() -> Findings:
    """Probe every backend that has an adapter. Takes seconds; never raises for what a runtime does."""
    environment = worker_environment(os.environ, threads=None)
    found = tuple(_runtime(name, environment) for name in discover.names())
    return Findings(platform.python_version(), provenance.collect(environment), found)


def _runtime(name: str, environment: dict[str, str]) -> RuntimeFinding:
    adapter = discover.load(name)
    with tempfile.TemporaryDirectory() as folder:
        try:
            with Worker(name, Path(folder) / "worker.log", environment) as worker:
                probed = worker.ask(Probe(), _PROBE_S)
        except CallFailed as error:
            last = "".join(error.failure.detail.splitlines()[-1:])
            broken = Availability(False, None, None, error.failure.message, last)
            return RuntimeFinding(name, adapter.title, broken, adapter.capabilities)
    return RuntimeFinding(name, adapter.title, probed.availability, probed.capabilities)
