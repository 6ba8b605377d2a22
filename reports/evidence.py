"""What a report shows straight from the run file: engines, and every trial or launch that failed or was flagged."""

import json
from dataclasses import dataclass

from reports.machine import facts, versions
from reports.text import ABSENT, clean, count, size
from results.records import Launch
from results.runfile import RunFile

LISTED = 100
"""Failures of each kind that are listed one by one; all are counted."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A trial or launch that gave nothing."""

    what: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Engine:
    """Launches that state the same facts."""

    title: str
    launches: int
    facts: tuple[tuple[str, str], ...]


def failed_trials(file: RunFile) -> tuple[list[Failed], int]:
    """The first failed trials of a run, and how many there are."""
    ((total,),) = file.query("SELECT count(*) FROM trial WHERE failure_kind IS NOT NULL")
    rows = file.query(
        "SELECT trial.id, role, method, draft_length, group_no, unit, phase, failure_kind, failure_message "
        "FROM trial JOIN cell ON cell.id = cell_id WHERE failure_kind IS NOT NULL ORDER BY trial.id LIMIT ?",
        (LISTED,),
    )
    found = [
        Failed(
            f"trial {trial}: group {group}, {f'{clean(method, 24)} k = {k}' if method else role}, unit {unit}, {phase}",
            clean(kind, 20),
            clean(message),
        )
        for trial, role, method, k, group, unit, phase, kind, message in rows
    ]
    return found, total


def failed_launches(file: RunFile) -> list[Failed]:
    """Engines that did not come up."""
    return [
        Failed(f"launch {i}: {_engine(launch)}", failure.kind, clean(failure.message))
        for i, launch in file.launches().items()
        if (failure := launch.failure) is not None
    ][:LISTED]


def flags(file: RunFile) -> dict[str, int]:
    """Flag -> trials that carry it, all phases together."""
    found: dict[str, int] = {}
    for stored, trials in file.query("SELECT flags, count(*) FROM trial WHERE flags <> '[]' GROUP BY flags"):
        for flag in json.loads(stored):
            found[clean(flag, 40)] = found.get(clean(flag, 40), 0) + trials
    return found


def engines(file: RunFile) -> list[Engine]:
    """What was launched, engines with equal facts together."""
    alike: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
    for launch in file.launches().values():
        key = (_engine(launch), tuple(_facts(launch)))
        alike[key] = alike.get(key, 0) + 1
    return [Engine(title, launches, told) for (title, told), launches in alike.items()]


def _engine(launch: Launch) -> str:
    return f"{clean(launch.backend, 40)} · {clean(launch.pair, 80)}"


def _facts(launch: Launch) -> list[tuple[str, str]]:
    seen, asked = launch.facts, launch.engine
    if seen is None:
        return [("state", "never came up")]
    return [
        ("versions", ", ".join(f"{name} {version}" for name, version in versions(seen.versions).items()) or ABSENT),
        ("computes on", f"{clean(seen.device, 80)}, {clean(seen.dtype, 20)}"),
        ("threads", "the runtime's choice" if seen.threads is None else str(seen.threads)),
        ("context", "unknown" if seen.context_limit is None else count(seen.context_limit, "token")),
        ("chat template", "yes" if seen.chat_template else "no"),
        ("target in memory", size(seen.target_bytes)),
        ("drafter adds", size(seen.drafter_bytes)),
        *((f"sha256 of {clean(name, 60)}", clean(digest, 80)) for name, digest in seen.files.items()),
        *(facts(asked.options, "option") if asked.options else ()),
        *(facts(seen.statement, "engine says") if seen.statement else ()),
    ]
