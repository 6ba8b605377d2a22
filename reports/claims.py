"""Published statements beside what was measured, in the terminal: what could be compared first, then what could not."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from reports.terminal import plain_table
from reports.text import NOT_COMPUTED, clean, count, listed, number, span
from results.statements.claims import Checked, ClaimsVerdict
from results.statements.ruling import Found, Outcome

_STYLES: dict[Outcome, str] = {"reproduced": "green", "not reproduced": "yellow", "not comparable": "dim"}


def show_claims(verdict: ClaimsVerdict, console: Console) -> None:
    """Print every statement with its outcome and the reason, and what was measured where it could be compared."""
    console.print(Text(headline(verdict), "bold"), overflow="fold")
    met = [one for one in verdict.checked if one.found]
    unmet = [one for one in verdict.checked if not one.found]
    for one in met:
        _compared(one, console)
    if unmet:
        console.print()
        console.print(Text("Not comparable with this file", "bold"))
        table = plain_table("claim", "published", "about", "why")
        for one in unmet:
            table.add_row(*(Text(clean(text)) for text in (one.id, published(one), one.about, _short(one.why))))
        console.print(table)


def _short(why: str) -> str:
    """The first difference in full, of the others only in what they are; `--json` has all."""
    first, *others = why.split("; ")
    names = [other.partition(":")[0] for other in others]
    return first + (f"; other {listed(names)} too" if names else "")


def headline(verdict: ClaimsVerdict) -> str:
    """How many statements there are of each outcome."""
    outcomes = [one.outcome for one in verdict.checked]
    told = ", ".join(f"{outcomes.count(name)} {name}" for name in _STYLES)
    return f"{count(len(outcomes), 'published statement')} beside {clean(verdict.file, 120)}: {told}"


def _compared(one: Checked, console: Console) -> None:
    console.print()
    console.print(Text.assemble((clean(one.id), "bold"), " · ", (one.outcome, _STYLES[one.outcome])), overflow="fold")
    origin = "; ".join(clean(text) for text in (one.source, one.about) if text)
    console.print(Text(f"  “{clean(one.words)}” ({origin})"), overflow="fold")
    console.print(Text(f"  compared: {published(one)}: {clean(one.why)}"), overflow="fold")
    for note in one.notes:
        console.print(Text(f"  {clean(note)}", "dim"), overflow="fold")
    table = plain_table("backend", "pair", "method", "k", "batch", "prompt", "measured", "interval", "says")
    for setting in one.found:
        table.add_row(*(Text(text) for text in _setting(setting)))
    console.print(table)


def _setting(one: Found) -> Iterable[str]:
    prompt = "own" if one.prompt_tokens is None else str(one.prompt_tokens)
    chosen = f" (best of {one.candidates})" if one.candidates > 1 else ""
    point = NOT_COMPUTED if one.point is None else number(one.point) + chosen
    return (clean(one.backend, 40), clean(one.pair, 80), clean(one.method, 24), str(one.draft_length),
            str(one.batch_size), prompt, point, span(one.interval), f"{one.outcome}: {clean(one.why)}")  # fmt: skip


def published(one: Checked) -> str:
    """The figure that is compared, with its metric."""
    if one.at_most is not None:
        figure = f" up to {number(one.at_most)}"
    elif one.low is None and one.high is None:
        figure = ""
    elif one.low == one.high and one.low is not None:
        figure = f" {number(one.low)}"
    elif one.low is None and one.high is not None:
        figure = f" at most {number(one.high)}"
    elif one.high is None and one.low is not None:
        figure = f" at least {number(one.low)}"
    else:
        figure = f" {number(one.low or 0.0)} to {number(one.high or 0.0)}"
    return one.metric + figure
