"""An experiment from beginning to end: what the command line and Python programs call.

measured = measure(load(Path("sweep.toml"), {}))          # a new run file
measured = resume(measured.path, {"time_budget": "5m"})   # go on with it
plan = dry_run(load(None, {}))                            # only look
"""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import FrameType

from harness import prompting, provenance
from harness.candidates import candidates
from harness.environment import worker_environment
from harness.fleet import Fleet, logs_of
from harness.journal import Journal
from harness.observe import Observer, Silent
from harness.plan import Plan
from harness.planner import check_size, make_plan
from harness.runner import Runner
from harness.stopping import StopRule
from harness.sweep import Sweep, from_manifest
from results.errors import UsageError
from results.records import Cell, Json
from results.store import RunFile, RunWriter, State
from workloads.pairs import find
from workloads.prompts import Source

FOLDER = Path("runs")
"""Where run files go unless told otherwise, in the current folder."""
SUFFIX = ".sqlite"
"""Of run files: the report and the logs lie beside under the same name."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A run file, and whether its run came to its end."""

    path: Path
    state: State


def measure(sweep: Sweep, out: Path | None = None, observer: Observer | None = None) -> Measured:
    """Measure a sweep into a new run file.

    out: a folder, or a file (a name that ends in .sqlite); the default is `runs/<UTC time>-<name>.sqlite`.
    Ctrl-C and SIGTERM keep what was measured (state `interrupted`); KeyboardInterrupt only where that is nothing.
    Raises UsageError, and leaves no run file behind where nothing was measured yet.
    """
    began = time.monotonic()
    plan, sources = _prepared(sweep)
    manifest: dict[str, Json] = {
        "schema_of": metadata.version("mtpbench"),
        "name": sweep.name,
        "sweep": sweep.describe(),
        "seed": sweep.seed,
        "workload": prompting.describe(sources, sweep),
        "argv": provenance.command_line(),
        "created_unix_ns": time.time_ns(),
        "provenance": provenance.collect(worker_environment(os.environ, sweep.threads)),
    }
    with RunWriter.create(_place(out, sweep.name), manifest) as writer:
        journal = Journal(writer)
        try:
            return _session(plan, sources, writer, journal, observer or Silent(), began)
        except (UsageError, KeyboardInterrupt):
            if not journal.trials:
                writer.close()
                writer.path.unlink()
                shutil.rmtree(logs_of(writer.path), ignore_errors=True)
            raise


def resume(path: Path, overrides: Mapping[str, object] | None = None, observer: Observer | None = None) -> Measured:
    """Go on with a run that was interrupted, or stopped by its time budget: complete blocks are not repeated.

    overrides: `precision`, `time_budget` and `repeats` to go on with, and `trust_remote_code`. The time budget
    counts anew. Raises UsageError where the run is finished and nothing of that is changed, and RunFileError.
    """
    began = time.monotonic()
    given = {key: value for key, value in (overrides or {}).items() if value is not None and value not in ([], ())}
    with RunFile.open(path) as file:
        sweep = from_manifest(file.manifest.get("sweep"), given, path)
        if file.state == "finished" and not given:
            more = "--repeats, --precision or --time-budget" if sweep.speed else "--draws or --time-budget"
            raise UsageError(f"{path} is finished: to measure more, change {more}, or begin anew")
        known = file.manifest.get("provenance")
        if isinstance(known, dict) and known.get("machine") not in (None, here := provenance.machine()):
            raise UsageError(f"{path} was measured on another machine than this ({here}): begin a new run here")
    plan, sources = _prepared(sweep)
    with RunWriter.resume(path) as writer:
        return _session(plan, sources, writer, Journal(writer), observer or Silent(), began)


def dry_run(sweep: Sweep) -> Plan:
    """The plan of a sweep; no engine is launched and nothing is written. Raises UsageError."""
    return _prepared(sweep)[0]


def describe(plan: Plan) -> dict[str, Json]:
    """A plan as JSON. `seconds` is an upper estimate, None where the speed of a pair is unknown."""
    nominal = {group.pair.name: entry.nominal_tpot_ms for group in plan.groups if (entry := find(group.pair.name))}
    return {
        "name": plan.sweep.name,
        "cells": [_cell(arm.cell) for group in plan.groups for arm in group.arms],
        "skipped": [_cell(cell) for cell in plan.skipped],
        "engines": len(plan.engines),
        "units": plan.units,
        "visits": plan.visits,
        "calls": plan.calls,
        "tokens": plan.tokens,
        "seconds": plan.seconds(nominal),
    }


def _prepared(sweep: Sweep) -> tuple[Plan, list[Source]]:
    """Everything that can be wrong with a sweep before an engine is launched is found here."""
    plan = make_plan(sweep, [*candidates(sweep)])
    texts = prompting.texts(sweep)
    plan = replace(plan, texts=len(texts))
    check_size(plan)
    return plan, texts


def _session(
    plan: Plan, sources: list[Source], writer: RunWriter, journal: Journal, observer: Observer, began: float
) -> Measured:
    """Measure what the journal lacks; on an interrupt with something measured, end in good order."""
    budget = plan.sweep.time_budget
    stop = StopRule(plan, None if budget is None else began + budget)
    calls = None if plan.calls is None else max(0, plan.calls - journal.calls_done(plan.sweep.seed, plan.groups))
    observer.planned(writer.path, [arm.cell for group in plan.groups for arm in group.arms], calls)
    for cell in plan.skipped:
        journal.cell(cell)
    try:
        with _interrupts(), Fleet(plan, journal, observer) as fleet:
            Runner(plan, journal, fleet, stop, observer).run(sources)
        writer.finish("finished")
    except KeyboardInterrupt:
        if not journal.trials and not journal.resumed:
            raise
        writer.finish("interrupted")
    return Measured(writer.path, writer.file.state)


@contextmanager
def _interrupts() -> Iterator[None]:
    """SIGTERM, and the end of the terminal, interrupt as Ctrl-C does. Elsewhere than in the main thread: no change."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM, signal.SIGHUP] if threading.current_thread() is threading.main_thread() else []
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _place(out: Path | None, name: str) -> Path:
    """The path of a new run file, its folder made."""
    out = FOLDER if out is None else out.expanduser()
    if out.suffix == SUFFIX and not out.is_dir():
        folder, stem = out.parent, out.stem
    else:
        folder, stem = out, f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{name}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot make the folder {folder}: {error.strerror or error}") from error
    return folder / f"{stem}{SUFFIX}"


def _cell(cell: Cell) -> dict[str, Json]:
    return {
        "group": cell.group,
        "role": cell.role,
        "backend": cell.backend,
        "pair": cell.pair,
        "method": cell.draft.method if cell.draft else None,
        "draft_length": cell.draft.length if cell.draft else None,
        "batch_size": cell.batch_size,
        "prompt_tokens": cell.prompt_tokens,
        "output_tokens": cell.output_tokens,
        "temperature": cell.sampling.temperature,
        "reason": cell.skipped,
    }
