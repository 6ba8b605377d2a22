"""A history in the terminal and in words: a line of blocks per cell, the changes of its level, what else changed."""

import math
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from reports.terminal import plain_table
from reports.text import ABSENT, clean, count, number, ratio, span
from results.compare import CellKey
from results.trends.history import Change, Changed, History, Metric, Point, RunPoint, Trend

BLOCKS = "▁▂▃▄▅▆▇█"
GAP = "·"
"""A run without the figure."""
WIDEST = 60
"""Runs of a line of blocks; of more, the newest are shown."""
SHOWN = 8
"""Recorded facts of a run that are listed; `--json` has all."""


def show_history(history: History, console: Console) -> None:
    """Print every cell's trend, then the runs and what changed between them."""
    console.print(Text(f"{clean(history.folder, 120)}: {headline(history)}", "bold"), overflow="fold")
    for problem in history.problems:
        console.print(Text(f"left out: {clean(problem)}", "red"), overflow="fold")
    console.print()
    table = plain_table("cell", "speed-up", "first", "latest", "interval", "TPOT ms", "acceptance")
    for trend in history.trends:
        table.add_row(*(Text(text) for text in _row(trend, len(history.runs))))
    console.print(table)
    for trend in history.trends:
        if said := [*sentences(trend)]:
            console.print(Text(f"{name(trend.cell)}: {'; '.join(said)}"), overflow="fold")
    console.print()
    console.print(Text(method(history), "dim"), overflow="fold")
    console.print()
    runs = plain_table("run", "made", "file", "what changed")
    for run in history.runs:
        runs.add_row(*(Text(text) for text in (str(run.number), run.created or "unknown", clean(run.file, 80),
                                                "; ".join(facts(run)))))  # fmt: skip
    console.print(runs)


def headline(history: History) -> str:
    """How many runs, cells and changes there are."""
    changes = sum(len(trend.changes) for trend in history.trends)
    if not history.searched:
        found = "too few to tell a change of level"
    else:
        found = count(changes, "change of level", "changes of level") if changes else "no change of level"
    return f"{count(len(history.runs), 'run')} of {count(len(history.trends), 'cell')}: {found}"


def method(history: History) -> str:
    """How changes are told, and how sure."""
    if not history.searched:
        return "No series is long enough to look for changes: at least 4 runs, 2 on either side."
    return (
        f"A change is told where so large a t between two stretches of at least 2 runs has a probability of at most "
        f"{100 * history.level:g} % / {history.searched} series in runs that differ by independent normal noise alone. "
        "What changed beside it need not be the cause."
    )


def name(cell: CellKey) -> str:
    """What tells a cell from others."""
    prompt = "own prompts" if cell.prompt_tokens is None else f"{cell.prompt_tokens} prompt tokens"
    heat = f", T = {cell.temperature:g}" if cell.temperature else ""
    return (
        f"{clean(cell.backend, 40)} {clean(cell.pair, 60)} {clean(cell.method, 24)} k = {cell.draft_length}, "
        f"batch {cell.batch_size}, {prompt}{heat}, {clean(cell.dtype, 20)}, {clean(cell.device, 30)}"
    )


def sentences(trend: Trend) -> Iterator[str]:
    """The changes of a cell's level, or why none could be looked for, and the runs whose figures do not count."""
    if trend.remark:
        yield trend.remark
    for one in trend.changes:
        yield sentence(one)
    for point in trend.points:
        if point.why:
            yield f"run {point.run} does not count: {clean(point.why)}"


def sentence(one: Change) -> str:
    """One change in words."""
    chance = "p < 0.001" if one.p < 0.001 else f"p = {one.p:.3f}"
    return (
        f"from run {one.run} on {one.metric} {figure(one.metric, one.after)} instead of "
        f"{figure(one.metric, one.before)} ({100 * (one.after / one.before - 1):+.1f} %, {chance})"
    )


def figure(metric: Metric, value: float | None) -> str:
    """A figure of that metric with its unit."""
    if value is None:
        return ABSENT
    return ratio(value) if metric == "speed-up" else f"{number(value)} ms" if "TPOT" in metric else f"{value:.2f}"


def facts(run: RunPoint, limit: int = SHOWN) -> list[str]:
    """What changed in a run against the one before, the most telling first."""
    told = [f"{clean(one.what, 80)}: {clean(one.before, 80)} → {clean(one.now, 80)}" for one in telling(run.changed)]
    more = len(told) - limit
    return told[:limit] + ([f"and {more} more"] if more > 0 else [])


def telling(changed: Sequence[Changed]) -> list[Changed]:
    """Accelerators, drivers, versions and model files before settings, and those before the rest."""

    def rank(one: Changed) -> int:
        what = one.what
        if what.startswith(("provenance.gpus", "provenance.cpu", "prompts")):
            return 0
        if ".versions." in what or ".files." in what or what.startswith("provenance.packages"):
            return 1
        return 2 if what.startswith("sweep") or not what.startswith("provenance") else 3

    return sorted(changed, key=rank)


def blocks(values: Sequence[float | None]) -> str:
    """The newest of a series as blocks from its lowest to its highest, on a log scale; a series that moves by less
    than 2 % stays in the middle."""
    shown = list(values)[-WIDEST:]
    logs = [math.log(value) for value in shown if value is not None and value > 0]
    if not logs:
        return GAP * len(shown)
    middle, reach = (max(logs) + min(logs)) / 2, max(max(logs) - min(logs), 0.02)

    def block(value: float | None) -> str:
        if value is None or value <= 0:
            return GAP
        return BLOCKS[min(7, max(0, round(7 * ((math.log(value) - middle) / reach + 0.5))))]

    return "".join(block(value) for value in shown)


def _row(trend: Trend, runs: int) -> Iterator[str]:
    by_run = {point.run: point for point in trend.points}
    known = [point for point in trend.points if point.speedup is not None]
    first, last = (known[0], known[-1]) if known else (None, None)
    yield name(trend.cell) + (" SYNTHETIC" if trend.synthetic else "")
    yield blocks([by_run[n].speedup if n in by_run else None for n in range(1, runs + 1)])
    yield figure("speed-up", first.speedup if first else None)
    yield figure("speed-up", last.speedup if last else None)
    yield span(last.interval) if last else ABSENT
    yield _both(known, "speculative TPOT")
    yield _both(known, "acceptance length")


def _both(points: Sequence[Point], metric: Metric) -> str:
    """First and latest."""
    values = [value for point in points if (value := point.figure(metric)) is not None]
    ends = [number(value) for value in (values[:1] + values[-1:] if len(values) > 1 else values)]
    return " → ".join(ends) or ABSENT
