"""What a run tells while it goes on: implemented by the terminal's progress display and by tests.

Every event speaks in records and plain values, so that an observer needs nothing of the harness. A group is
named by the cell of its plain arm (`cell.group` is its number). Events come between calls, never inside a timed
one, so an observer may take its time without spoiling a figure.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from results.records import Cell, Failure, SessionFacts, Trial


class Observer(Protocol):
    """The events of one run, in the order in which they come."""

    def planned(self, path: Path, cells: Sequence[Cell], calls: int | None) -> None:
        """The run file is open.

        cells: all that are measured. calls: how many are left to make; None where only a stop rule bounds them.
        """

    def launching(self, backend: str, pair: str) -> None:
        """A worker is starting an engine; loading a model can take minutes."""

    def launched(self, backend: str, pair: str, facts: SessionFacts, seconds: float) -> None:
        """The engine is up after `seconds`."""

    def launch_failed(self, backend: str, pair: str, failure: Failure) -> None:
        """The engine did not come up, or its worker died or hung. It is stored, and the run goes on."""

    def warming(self, cell: Cell) -> None:
        """A warm-up call of this arm begins."""

    def trial_done(self, cell: Cell, trial: Trial) -> None:
        """A call of a block has ended and is stored."""

    def block_done(self, cell: Cell, units: int, half_width: float | None, seconds_left: float | None) -> None:
        """A block of a group is complete.

        units: distinct units of the group that have a ratio in every arm so far; blocks where nothing is timed.
        half_width: of the widest arm's speed-up interval on these prompts, relative; None where not yet known.
        seconds_left: an estimate for the whole run; None where unknown.
        """

    def group_stopped(self, cell: Cell, why: str) -> None:
        """No more blocks of this group."""

    def note(self, text: str) -> None:
        """One line worth knowing, e.g. that an arm is given up."""


class Silent:
    """An observer that says nothing: for scripts."""

    def planned(self, path: Path, cells: Sequence[Cell], calls: int | None) -> None:
        """See Observer."""

    def launching(self, backend: str, pair: str) -> None:
        """See Observer."""

    def launched(self, backend: str, pair: str, facts: SessionFacts, seconds: float) -> None:
        """See Observer."""

    def launch_failed(self, backend: str, pair: str, failure: Failure) -> None:
        """See Observer."""

    def warming(self, cell: Cell) -> None:
        """See Observer."""

    def trial_done(self, cell: Cell, trial: Trial) -> None:
        """See Observer."""

    def block_done(self, cell: Cell, units: int, half_width: float | None, seconds_left: float | None) -> None:
        """See Observer."""

    def group_stopped(self, cell: Cell, why: str) -> None:
        """See Observer."""

    def note(self, text: str) -> None:
        """See Observer."""
