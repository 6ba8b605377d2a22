"""`mtpbench show`: one run in the terminal, at whatever width it has."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports import machine
from reports.groups import Group, groups, labels, measured
from reports.text import ABSENT, NOT_REVEALED, bounds, clean, count, ratio, revealed, share, span
from reports.words import certificate, decide, equivalence, headline, notes, trials
from results.verdicts import ArmTiming, CellVerdict, RunVerdict

_LOUD = {"INVALID": "bold red", "FAILED": "bold red", "SYNTHETIC": "bold magenta"}
_EXPLAINED = ("failed", "skipped", "invalid", "unverified", "imported")
_UNLIMITED = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a group's table."""

    name: str
    of: Callable[[CellVerdict], str]
    table: Literal["both", "speed", "acceptance"]
    rank: int
    """0 stays at any width; the highest goes first where there is no room."""
    justify: Literal["left", "right"] = "right"


def _arms(pick: Callable[[ArmTiming], float | None]) -> Callable[[CellVerdict], str]:
    def both(cell: CellVerdict) -> str:
        ends = [revealed(pick(arm) if arm else None) for arm in (cell.baseline, cell.speculative)]
        return NOT_REVEALED if set(ends) == {NOT_REVEALED} else " → ".join(ends)

    return both


def _acceptance(cell: CellVerdict) -> str:
    return NOT_REVEALED if cell.acceptance is None else f"{cell.acceptance.length:.2f}"


def _positions(cell: CellVerdict) -> str:
    joint = cell.acceptance.per_position if cell.acceptance else ()
    return " ".join(f"{p:.2f}".lstrip("0") for p in joint) or NOT_REVEALED


def _status(cell: CellVerdict) -> str:
    return " ".join(labels(cell)) or "ok"


def _columns(group: Group) -> list[Column]:
    by_method = [Column("method", lambda c: clean(c.method, 20), "both", 0, "left")] if len(group.methods) > 1 else []
    return [
        Column("k", lambda c: str(c.draft_length), "both", 0),
        *by_method,
        Column("speed-up", lambda c: ratio(c.speedup.point if c.speedup else None), "speed", 0),
        Column("new prompts", lambda c: span(c.speedup.new_prompts if c.speedup else None), "speed", 1),
        Column("these prompts", lambda c: span(c.speedup.these_prompts if c.speedup else None), "speed", 4),
        Column("accept. length", _acceptance, "acceptance", 0),
        Column("interval", lambda c: bounds(*((c.acceptance.low, c.acceptance.high) if c.acceptance else (None, None))),
               "acceptance", 1),
        Column("accepted at 1…k", _positions, "acceptance", 2, "left"),
        Column("TTFT ms", _arms(lambda arm: arm.ttft_ms), "speed", 5),
        Column("TPOT ms", _arms(lambda arm: arm.tpot_ms), "speed", 2),
        Column("tokens/s", _arms(lambda arm: arm.tokens_per_s), "speed", 3),
        Column("4-grams", lambda c: share(c.distinct_4grams), "acceptance", 3),
        Column("failed/flagged", lambda c: f"{c.trials_failed}/{c.trials_flagged} of {c.trials}", "acceptance", 4),
        Column("status", _status, "both", 0, "left"),
    ]  # fmt: skip


def _table(group: Group, columns: Iterable[Column]) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    kept = list(columns)
    for column in kept:
        made.add_column(column.name, justify=column.justify, no_wrap=True)
    always = ("k", "method", "failed/flagged", "status")
    for cell in group.cells:
        texts = [column.of(cell) if measured(cell) or column.name in always else ABSENT for column in kept]
        best = group.best is not None and group.best.cell_id == cell.cell_id
        quiet = cell.status != "ok" or cell.distinguishable is False
        style = "bold" if best else "dim" if quiet else ""
        row = [Text(text, _LOUD.get(text.split()[0], style)) for text in texts]
        made.add_row(*row)
    return made


def _fits(table: Table, console: Console) -> bool:
    return console.measure(table, options=console.options.update(max_width=_UNLIMITED)).maximum <= console.width


def _tables(group: Group, console: Console) -> list[Table]:
    """One table where the terminal is wide enough; else speed and acceptance apart, less telling columns left out."""
    columns = _columns(group)
    whole = _table(group, columns)
    if _fits(whole, console):
        return [whole]
    found = []
    for part in ("speed", "acceptance"):
        kept = [column for column in columns if column.table in ("both", part)]
        while not _fits(_table(group, kept), console) and (last := max(column.rank for column in kept)):
            kept = [column for column in kept if column.rank != last]
        found.append(_table(group, kept))
    return found


def _lines(console: Console, texts: Iterable[Text]) -> None:
    for text in texts:
        console.print(text, overflow="fold")


def _explained(group: Group) -> Iterable[Text]:
    """Why cells that have no valid figure have none."""
    for cell in group.cells:
        if cell.status in _EXPLAINED and cell.reason:
            yield Text(f"{group.arm(cell)} {' '.join(labels(cell))}: {clean(cell.reason)}")


def _group(group: Group, console: Console) -> None:
    console.print()
    console.print(Text(group.title, "bold"), overflow="fold")
    first = max(group.cells, key=lambda cell: cell.n_units)
    stopped = f" · {clean(first.stopped, 120)}" if first.stopped else ""
    facts = f"{count(first.n_prompts, 'prompt')} in {count(first.n_units, 'unit')}{stopped}"
    console.print(Text(f"{facts} · output equivalence {equivalence(first)}", "dim"), overflow="fold")
    for table in _tables(group, console):
        console.print(Padding(table, (1, 0, 0, 0)))
    console.print()
    _lines(console, _explained(group))
    console.print(Text(certificate(next((c.aa for c in group.cells if c.aa), None))), overflow="fold")
    decision = decide(group)
    style = {"faster": "bold green", "slower": "bold yellow", "same": "bold", "none": "bold"}[decision.outcome]
    console.print(Text(decision.headline, style), overflow="fold")
    console.print(Text(decision.detail), overflow="fold")


def show(verdict: RunVerdict, console: Console) -> None:
    """Print a run: head, one table per group with its certificate and decision, then what to be careful about."""
    run = verdict.run
    console.print(Text(machine.title(run), "bold"), overflow="fold")
    _lines(console, (Text(line, "dim") for line in (machine.summary(run), trials(run)) if line))
    found = groups(verdict)
    for group in found:
        _group(group, console)
    if len(found) != 1:
        console.print()
        console.print(Text(headline([(group, decide(group)) for group in found]), "bold"), overflow="fold")
    for note in notes(verdict):
        console.print()
        console.print(Text(f"! {note}"), overflow="fold")
