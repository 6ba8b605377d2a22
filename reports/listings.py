"""Terminal tables of what there is and what is planned; the rows are those of the commands' `--json`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports import machine
from reports.terminal import plain_table
from reports.text import NOT_REVEALED, clean, count, duration

Row = Mapping[str, Any]


def show_backends(rows: Sequence[Row], console: Console) -> None:
    """Runtimes that have an adapter: what each can do and what it reveals."""
    table = plain_table("backend", "methods", "batch plain / drafted", "draft length", "reveals", "samples", "scores")
    for row in rows:
        batches = " / ".join(_limit(row[f"max_batch_{arm}"]) for arm in ("plain", "speculative"))
        _add(table, row["name"], _joined(row["methods"]), batches, row["draft_change"], row["reveals"],
             _yes(row["sampling"]), _yes(row["scores"]))  # fmt: skip
    console.print(table)
    _notes(console, ((row["name"], note) for row in rows for note in row["notes"]))


def show_pairs(rows: Sequence[Row], console: Console) -> None:
    """Named pairs of target and drafter."""
    table = plain_table("pair", "kind", "target", "assistant", "draft lengths", "window", "licence")
    for row in rows:
        name = f"{row['name']} ({row['alias']})" if row["alias"] else row["name"]
        models = ["shipped" if Path(row[part]).is_absolute() else row[part] for part in ("target", "assistant")]
        _add(table, name, row["kind"], *models, _joined(row["draft_lengths"]),
             row["sliding_window"], row["licence"])  # fmt: skip
    console.print(table)
    _notes(console, ((row["name"], note) for row in rows for note in row["special"]))


def show_workloads(rows: Sequence[Row], console: Console) -> None:
    """Prompt sets that are shipped, and data sets that can be loaded."""
    table = plain_table("workload", "prompts", "about", "licence")
    for row in rows:
        prompts = "not shipped" if row["prompts"] is None else row["prompts"]
        _add(table, row["name"], prompts, row["about"], row["licence"])
    console.print(table)


def show_doctor(findings: Row, console: Console) -> None:
    """What can be measured on this machine, and what is missing for the rest."""
    _line(console, machine.summary({"provenance": findings["machine"]}))
    table = plain_table("runtime", "usable", "version", "device", "reveals", "why, and what to do")
    for found in findings["runtimes"]:
        seen, able = found["availability"], found["capabilities"]
        advice = ": ".join(clean(text) for text in (seen["reason"], seen["advice"]) if text)
        usable = "not yet" if seen["usable"] and seen["advice"] else _yes(seen["usable"])
        version = seen["version"] or ("not known" if seen["usable"] else "not installed")
        device = seen["device"] or ("not known" if seen["usable"] else "none")
        _add(table, found["title"], usable, version, device, able["reveals"], advice)
    console.print(table)


def show_environments(rows: Sequence[Row], console: Console) -> None:
    """Environments of runtimes, made or not."""
    table = plain_table("runtime", "state", "size", "Python", "packages")
    for row in rows:
        size = "" if row["bytes"] is None else f"{row['bytes'] / 1e6:,.0f} MB"
        _add(table, row["name"], row["state"], size, row["interpreter"], _joined(row["wanted"]["packages"]))
    console.print(table)
    _notes(console, ((row["name"], note) for row in rows for note in row["wanted"]["notes"]))


def show_plan(plan: Row, console: Console) -> None:
    """What `run` would measure, and what it would put aside."""
    calls, visits, seconds = plan["calls"], plan["visits"], plan["seconds"]
    told = [
        count(len(plan["cells"]), "cell"),
        count(plan["engines"], "engine"),
        f"{count(plan['units'], 'unit')} a group",
        "visited until precision or time budget say stop" if visits is None else f"visited {count(visits, 'time')}",
        *([] if calls is None else [count(calls, "call")]),
        "time unknown for this pair" if seconds is None else f"at most about {duration(seconds)} of measuring",
    ]
    _line(console, f"{clean(plan['name'], 60)}: {', '.join(told)}")
    table = plain_table("group", "role", "backend", "pair", "method", "k", "batch", "prompt", "output", "T")
    for cell in plan["cells"]:
        _add(table, *_cell(cell))
    console.print(table)
    if plan["skipped"]:
        _line(console, "put aside:")
        aside = plain_table("group", "role", "backend", "pair", "method", "k", "batch", "prompt", "output", "T", "why")
        for cell in plan["skipped"]:
            _add(aside, *_cell(cell), cell["reason"])
        console.print(aside)


def _cell(cell: Row) -> tuple[Any, ...]:
    prompt = "own" if cell["prompt_tokens"] is None else cell["prompt_tokens"]
    k = "" if cell["draft_length"] is None else cell["draft_length"]
    shared = (cell["batch_size"], prompt, cell["output_tokens"], cell["temperature"])
    return (cell["group"], cell["role"], cell["backend"], cell["pair"], cell["method"] or "", k, *shared)


def _add(table: Table, *values: Any) -> None:
    table.add_row(*(Text("unknown" if value is None else clean(value)) for value in values))


def _line(console: Console, text: str) -> None:
    console.print(Text(text, "bold"), overflow="fold")
    console.print()


def _notes(console: Console, notes: Iterable[tuple[object, object]]) -> None:
    told = [Text(f"{clean(name, 40)}: {clean(note)}") for name, note in notes]
    if told:
        console.print()
    for text in told:
        console.print(text, overflow="fold")


def _joined(values: Sequence[Any]) -> str:
    return ", ".join(str(value) for value in values)


def _limit(value: int | None) -> str:
    return "any" if value is None else str(value)


def _yes(value: bool | None) -> str:
    return NOT_REVEALED if value is None else "yes" if value else "no"
