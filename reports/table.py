"""Run files in the terminal: one run at whatever width there is, two beside each other, a folder of them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports import ablation, machine, prediction
from reports.columns import Column, columns
from reports.groups import Group, groups, labels, measured, measures_speed, sound
from reports.lossless import block, summary
from reports.terminal import plain_table
from reports.text import ABSENT, NOT_COMPUTED, NOT_REVEALED, clean, count, ratio, size, span
from reports.words import certificate, decide, notes, run_headline, trials
from results.verdicts import CellVerdict, Interval, RunVerdict

if TYPE_CHECKING:  # `show` needs neither
    from results.compare import CellComparison, CellKey, Comparison
    from results.listing import RunSummary

_LOUD = {"INVALID": "bold red", "FAILED": "bold red", "UNEXPLAINED": "bold red", "BIASED": "bold red",
         "SYNTHETIC": "bold magenta"}  # fmt: skip
_TONES = {"good": "green", "plain": "", "quiet": "dim", "caution": "bold yellow", "loud": "bold red"}
_EXPLAINED = ("failed", "skipped", "invalid", "unverified", "imported")
_GAP = 3
"""Columns between two columns of a table in this style."""


def _table(group: Group, shown: Iterable[Column]) -> Table:
    made = plain_table()
    kept = list(shown)
    for column in kept:
        made.add_column(column.name, justify=column.justify, no_wrap=True)
    always = ("k", "method", "failed/flagged", "status")
    for cell in group.cells:
        texts = [column.of(cell) if measured(cell) or column.name in always else ABSENT for column in kept]
        best = group.best is not None and group.best.cell_id == cell.cell_id
        quiet = not sound(cell) or cell.distinguishable is False
        style = "bold" if best else "dim" if quiet else ""
        row = [Text(text, _loud(cell) if column.name == "status" and labels(cell) else style)
               for column, text in zip(kept, texts, strict=True)]  # fmt: skip
        made.add_row(*row)
    return made


def _loud(cell: CellVerdict) -> str:
    return next((_LOUD[label] for label in labels(cell) if label in _LOUD), "dim")


def _fits(table: Table, console: Console) -> bool:
    """Whether the table needs no more columns than the terminal has. Rich's own measure takes 10 times as long."""
    widths = [max(cell_len(str(text)) for text in (column.header, *column.cells)) for column in table.columns]
    return sum(widths) + _GAP * (len(widths) - 1) <= console.width


def _tables(group: Group, console: Console) -> list[Table]:
    """One table where the terminal is wide enough; else speed and acceptance apart, less telling columns left out."""
    every = columns(group)
    whole = _table(group, every)
    if _fits(whole, console):
        return [whole]
    found = []
    for part in ("speed", "acceptance") if group.speed else ("both",):
        kept = [column for column in every if column.table in ("both", part)]
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


def _measured(group: Group) -> str:
    """What a group's figures rest on."""
    first = max(group.cells, key=lambda cell: cell.n_units)
    compared = max((c.equivalence.prompts for c in group.cells if c.equivalence), default=0)
    if group.speed:
        facts = [f"{count(first.n_prompts, 'prompt')} in {count(first.n_units, 'unit')}"]
    else:
        facts = [f"{count(compared, 'prompt')} compared"] if compared else []
    return " · ".join((*facts, *([clean(first.stopped, 120)] if first.stopped else [])))


def _group(group: Group, console: Console) -> None:
    console.print()
    console.print(Text(group.title, "bold"), overflow="fold")
    _lines(console, (Text(line, "dim") for line in (_measured(group),) if line))
    for table in _tables(group, console):
        console.print(Padding(table, (1, 0, 0, 0)))
    console.print()
    _lines(console, _explained(group))
    told = (*prediction.lines(group), *prediction.costs(group), *ablation.lines(group), *block(group))
    _lines(console, (Text(line.text, _TONES[line.tone]) for line in told))
    if not group.speed:
        return
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
        told = run_headline(verdict, [(group, decide(group)) for group in found])
        style = "bold" if measures_speed(verdict) or not found else _TONES[summary(verdict).tone]
        console.print()
        console.print(Text(told, style), overflow="fold")
    cautions = notes(verdict)
    if cautions:
        console.print()
    _lines(console, (Text(f"! {note}") for note in cautions))


def show_comparison(comparison: "Comparison", console: Console) -> None:
    """Print two runs cell by cell; every ratio is B over A."""
    console.print(Text(f"A  {clean(comparison.a)}\nB  {clean(comparison.b)}", "bold"), overflow="fold")
    if comparison.cells:
        console.print(Padding(_compared(comparison.cells), (1, 0)))
        basis = sorted({cell.speedup.basis for cell in comparison.cells if cell.speedup})
        console.print(Text(f"B over A: above 1 is a larger speed-up in B ({', '.join(basis) or 'nothing compared'})."))
        console.print(Text("TPOT: below 1 is faster in B; two runs alone give it no interval."))
    else:
        console.print(Text("The two runs have no cell in common.", "bold"))
    for side, keys in (("A", comparison.only_a), ("B", comparison.only_b)):
        if keys:
            console.print(Text(f"only in {side}: {'; '.join(_key(key) for key in keys)}"), overflow="fold")
    _lines(console, (Text(f"! {clean(warning)}") for warning in comparison.warnings))


def _key(key: "CellKey") -> str:
    arm = f"{clean(key.backend, 30)} {clean(key.pair, 40)} {clean(key.method, 24)} k = {key.draft_length}"
    told = [arm, "own prompts" if key.prompt_tokens is None else f"{key.prompt_tokens}-token prompts"]
    told += [f"batch {key.batch_size}"] if key.batch_size > 1 else []
    told += [f"temperature {key.temperature:g}"] if key.temperature else []
    return ", ".join(told)


def _compared(cells: "Sequence[CellComparison]") -> Table:
    made = plain_table()
    made.add_column("cell")
    for name in ("speed-up A → B", "B / A", "interval", "acceptance A → B", "change", "TPOT plain", "TPOT drafted"):
        made.add_column(name, justify="right")
    made.add_column("status")
    for cell in cells:
        change = cell.acceptance
        marks = [
            f"{side} {status.upper()}"
            for side, *told in (("A", cell.status_a, cell.output_a), ("B", cell.status_b, cell.output_b))
            for status in told
            if status in (*_EXPLAINED, "unexplained", "biased")
        ]
        texts = (
            _key(cell.cell),
            f"{ratio(cell.speedup_a)} → {ratio(cell.speedup_b)}",
            f"{cell.speedup.point:.3f}" if cell.speedup else NOT_COMPUTED,
            span(cell.speedup.interval if cell.speedup else None, 3),
            " → ".join(NOT_REVEALED if a is None else f"{a:.2f}" for a in (cell.acceptance_a, cell.acceptance_b)),
            NOT_COMPUTED
            if change is None
            else f"{change.point:+.2f}" + (f" ({_signed(change.interval)})" if change.interval else ""),
            *(NOT_REVEALED if tpot is None else f"{tpot:.3f}" for tpot in (cell.plain_tpot, cell.speculative_tpot)),
            " ".join([*marks, *(["SYNTHETIC"] if cell.synthetic else [])]) or "ok",
        )
        made.add_row(*(Text(text) for text in texts))
    return made


def _signed(interval: Interval) -> str:
    return f"{interval.low:+.2f} to {interval.high:+.2f}"


def show_runs(found: "Sequence[RunSummary]", console: Console) -> None:
    """Print the run files of a folder."""
    if not found:
        console.print(Text("No run files here: `mtpbench run` writes one."))
        return
    made = plain_table()
    for name in ("file", "state", "backends", "pairs"):
        made.add_column(name, overflow="fold")
    for name in ("cells", "trials", "failed", "size"):
        made.add_column(name, justify="right")
    for run in found:
        if run.problem is not None:
            made.add_row(Text(clean(run.file, 80)), Text(clean(run.problem), "red"))
            continue
        texts = (
            clean(run.file, 80),
            run.state or "unknown",
            *(clean(", ".join(names), 80) for names in (run.backends, run.pairs)),
            *("unknown" if n is None else f"{n:,}" for n in (run.cells, run.trials, run.failed)),
            size(run.size_bytes),
        )
        made.add_row(*(Text(text) for text in texts))
    console.print(made)
