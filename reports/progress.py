"""What a run is doing, live: an observer of the harness (structurally; reports know results only).

The picture is redrawn when something happens and never by a thread of its own, so that nothing of it runs while a
call is timed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from reports.text import clean, count, duration
from results.records import INSTRUMENTED, Cell, Failure, SessionFacts, Trial

_REDRAW_S = 0.2
_LINE_S = 15.0
"""Between two lines of progress where there is no terminal to redraw."""
_NAMES: tuple[Callable[[Cell], str], ...] = (
    lambda c: clean(c.backend, 30),
    lambda c: clean(c.pair, 40),
    lambda c: "prompts as they are" if c.prompt_tokens is None else f"{c.prompt_tokens:,}-token prompts",
    lambda c: f"batch {c.batch_size}",
    lambda c: f"temperature {c.sampling.temperature:g}",
)
"""What may set one group apart from another."""


@dataclass(slots=True)
class _Row:
    """One group on the display."""

    name: str
    units: int = 0
    half_width: float | None = None
    doing: str = "waiting"

    def line(self) -> str:
        width = "" if self.half_width is None else f", ±{100 * self.half_width:.1f} %"
        return f"{self.name}: {count(self.units, 'unit')}{width}, {self.doing}"


class Progress:
    """A context manager that shows the events of a run: redrawn on a terminal, as plain lines elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[int, _Row] = {}
        self._phase = "preparing"
        self._calls = self._failed = self._flagged = 0
        self._total: int | None = None
        self._left: tuple[float, float] | None = None
        """An estimate in seconds, and when it was made."""
        self._shown_at = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def planned(self, path: Path, cells: Sequence[Cell], calls: int | None) -> None:
        """The run file is open."""
        firsts = {cell.group: cell for cell in reversed(cells)}
        varying = [name for name in _NAMES if len({name(cell) for cell in firsts.values()}) > 1] or [_NAMES[2]]
        self._rows = {g: _Row(", ".join(name(firsts[g]) for name in varying)) for g in sorted(firsts)}
        self._total = calls
        of = "" if calls is None else f", {count(calls, 'call')}"
        self._say(f"measuring {count(len(cells), 'cell')} in {count(len(firsts), 'group')}{of}: {clean(path, 300)}")

    def launching(self, backend: str, pair: str) -> None:
        """A worker is starting an engine."""
        self._say(f"starting {clean(backend, 40)} with {clean(pair, 80)}", phase=True)

    def launched(self, backend: str, pair: str, facts: SessionFacts, seconds: float) -> None:
        """The engine is up."""
        where = f"{clean(facts.device, 60)}, {clean(facts.dtype, 20)}"
        self._say(f"{clean(backend, 40)} is up after {duration(seconds)} on {where}")

    def launch_failed(self, backend: str, pair: str, failure: Failure) -> None:
        """The engine did not come up, or its worker is gone."""
        self._say(f"{clean(backend, 40)} with {clean(pair, 80)} failed ({failure.kind}): {clean(failure.message)}")

    def warming(self, cell: Cell) -> None:
        """A warm-up call begins."""
        self._phase = "warming up"
        self._doing(cell, f"warming up {_arm(cell)}")

    def trial_done(self, cell: Cell, trial: Trial) -> None:
        """A call has ended."""
        self._phase = "measuring"
        self._calls += 1
        self._failed += trial.failure is not None
        self._flagged += bool(trial.flags)
        self._doing(cell, f"{_arm(cell)}{', instrumented' if trial.phase == INSTRUMENTED else ''}")

    def block_done(self, cell: Cell, units: int, half_width: float | None, seconds_left: float | None) -> None:
        """A block of a group is complete."""
        row = self._row(cell)
        row.units, row.half_width = units, half_width
        self._left = None if seconds_left is None else (seconds_left, time.monotonic())
        self._show()

    def group_stopped(self, cell: Cell, why: str) -> None:
        """No more blocks of this group."""
        row = self._row(cell)
        row.doing = f"done: {clean(why, 120)}"
        self._say(row.line())

    def note(self, text: str) -> None:
        """One line worth knowing."""
        self._say(clean(text))

    def _row(self, cell: Cell) -> _Row:
        return self._rows.setdefault(cell.group, _Row(f"group {cell.group}"))

    def _doing(self, cell: Cell, what: str) -> None:
        self._row(cell).doing = what
        self._show()

    def _say(self, line: str, *, phase: bool = False) -> None:
        """A line that stays; a phase is only shown where the display is redrawn."""
        if phase:
            self._phase = line
        if self._live is None or not phase:
            self._console.print(Text(line), soft_wrap=True)
        self._show(now=True)

    def _show(self, *, now: bool = False) -> None:
        since = time.monotonic() - self._shown_at
        if self._live:
            if now or since >= _REDRAW_S:
                self._live.update(self._picture(), refresh=True)
                self._shown_at = time.monotonic()
        elif not now and since >= _LINE_S:
            self._shown_at = time.monotonic()
            rows = "; ".join(row.line() for row in self._rows.values())
            self._console.print(Text(f"{self._counts()} | {rows}"), soft_wrap=True)

    def _counts(self) -> str:
        told = [f"{self._calls:,} calls" if self._total is None else f"{self._calls:,} of {self._total:,} calls"]
        if self._failed or self._flagged:
            told.append(f"{self._failed} failed, {self._flagged} flagged")
        if self._left:
            seconds, at = self._left
            told.append(f"{duration(max(0.0, seconds - (time.monotonic() - at)))} left")
        return " · ".join(told)

    def _picture(self) -> RenderableType:
        rows = Table.grid(padding=(0, 2))
        for row in self._rows.values():
            width = "" if row.half_width is None else f"±{100 * row.half_width:.1f} %"
            done = row.doing.startswith("done")
            cells = (row.name, count(row.units, "unit"), width, row.doing)
            rows.add_row(*(Text(cell, "dim" if done else "") for cell in cells))
        head = Table.grid(padding=(0, 2))
        bar = [ProgressBar(total=max(self._total, self._calls), completed=self._calls, width=30)] if self._total else []
        head.add_row(Text(self._phase, "bold"), *bar, Text(self._counts()))
        return Group(head, rows)


def _arm(cell: Cell) -> str:
    return cell.role if cell.draft is None else f"{clean(cell.draft.method, 24)} k = {cell.draft.length}"
