"""Which Python hosts a backend's worker: the one in the settings file, its own environment's, or ours."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from backends.base import Availability
from harness import envs, settings
from harness.bridge import bridged


def interpreter_of(name: str) -> str:
    """The Python that hosts this backend. Raises UsageError where the settings file makes no sense."""
    if named := settings.read().interpreters.get(name):
        return str(Path(named).expanduser())
    env = envs.find(name)
    return str(env.python) if env and env.state == "ready" else sys.executable


def environment_of(interpreter: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a worker of this interpreter: a foreign one sees two of our packages, and no other of ours."""
    return dict(environment) if interpreter == sys.executable else bridged(environment)


def advised(name: str, found: Availability) -> Availability:
    """What probing found; for a runtime that is missing here and has an environment to be made, with the command."""
    env = envs.find(name)
    if found.usable or env is None or env.state == "ready" or interpreter_of(name) != sys.executable:
        return found
    return replace(found, advice=f"mtpbench env create {name}")
