"""A recommendation in the terminal: the best of all first, then group by group, then when not to draft."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports import advice
from reports.terminal import plain_table
from reports.text import ABSENT, NOT_REVEALED, Tone, clean, number, ratio, size, span
from results.choosing.recommendation import Choice, Recommendation, Setting

_STYLES: dict[Tone, str] = {"good": "bold green", "plain": "", "quiet": "dim", "caution": "bold yellow",
                            "loud": "bold red"}  # fmt: skip


def show_recommendation(found: Recommendation, console: Console) -> None:
    """Print a recommendation."""
    for line in advice.headlines(found):
        console.print(Text(line, "bold"), overflow="fold")
    for note in found.notes:
        console.print(Text(f"! {clean(note, 600)}"), overflow="fold")
    several = len({choice.place.file for choice in found.choices}) > 1
    for choice in found.choices:
        console.print()
        console.print(Text(advice.title(choice.place, file=several), "bold"), overflow="fold")
        if choice.settings:
            console.print(Padding(_table(found, choice), (1, 0)))
        for told in advice.lines(found, choice):
            console.print(Text(told.text, _STYLES[told.tone]), overflow="fold")
        if choice.deployment:
            console.print(Text("To deploy it:", "bold"))
            console.print(Text(_visible(choice.deployment)), soft_wrap=True)  # to be copied: no indent, no line broken
    if found.break_even:
        console.print()
        console.print(Text("When not to draft", "bold"))
    for even in found.break_even:
        if len(found.break_even) > 1:
            console.print(Text(advice.title(even.place, file=several), "dim"), overflow="fold")
        console.print(Text(advice.break_even(even)), overflow="fold")
        console.print(Text(advice.at_batches(even.batches), "dim"), overflow="fold")
    if caution := advice.CAUTIONS.get(found.objective):
        console.print()
        console.print(Text(f"! {caution}"), overflow="fold")


def _visible(text: str) -> str:
    """Every character that is not printable replaced, line breaks apart."""
    return "".join(c if c == "\n" or c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _table(found: Recommendation, choice: Choice) -> Table:
    made = plain_table()
    made.add_column("setting", no_wrap=True)
    names = ["gain", "interval", "P(best)", "TPOT", "TTFT", "tokens/s"]
    if found.objective in ("cost", "energy"):
        names.insert(0, found.unit)
    if any(setting.memory_bytes is not None for setting in choice.settings):
        names.append("memory")
    for name in names:
        made.add_column(name, justify="right", no_wrap=True)
    for setting in choice.settings:
        cells = _cells(found, setting)
        style = "bold" if setting.cell_id == choice.chosen else "dim" if setting.excluded else ""
        made.add_row(advice.name(choice, setting), *(cells[name] for name in names), style=style)
    return made


def _cells(found: Recommendation, setting: Setting) -> dict[str, str]:
    plain = setting.method is None
    return {
        found.unit: _figure(setting.figure),
        "gain": ABSENT if plain else ratio(setting.gain),
        "interval": ABSENT if plain else span(setting.adjusted),
        "P(best)": advice.probability(setting.probability),
        "TPOT": _figure(setting.tpot_ms, " ms"),
        "TTFT": _figure(setting.ttft_ms, " ms"),
        "memory": size(setting.memory_bytes),
        "tokens/s": _figure(setting.tokens_per_s),
    }


def _figure(value: float | None, unit: str = "") -> str:
    return NOT_REVEALED if value is None else f"{number(value)}{unit}"
