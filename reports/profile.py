"""An acceptance profile in the terminal: every draft length, and every category."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from reports.terminal import plain_table
from reports.text import ABSENT, NOT_COMPUTED, bounds, clean, count
from results.curve import Curve
from results.verdicts import Acceptance

COLUMNS = 16
"""Draft lengths that the table of categories shows at most."""


def show(found: Curve, console: Console) -> None:
    """Print what a profile says."""
    prompt = "prompts of their own length" if found.prompt_tokens is None else f"{found.prompt_tokens}-token prompts"
    told = [clean(found.pair, 60), prompt, f"up to {count(found.output_tokens, 'new token')}", "greedy",
            f"{clean(found.dtype, 20)} on {clean(found.device, 60)}"]  # fmt: skip
    console.print(Text(" · ".join(["acceptance profile", *told]), "bold"), overflow="fold")
    console.print(Text(f"{count(found.prompts, 'prompt')}, {count(found.tokens, 'token')}, drafted from at every one"))
    if found.synthetic:
        console.print(Text("SYNTHETIC: random weights; nothing here tells of the pair", "bold magenta"))
    console.print()
    console.print(_by_length(found))
    categories = _categories(found)
    if len(categories) > 1:
        console.print()
        console.print(_by_category(found, categories))
        if found.k_max > COLUMNS:
            console.print(Text(f"Draft lengths above {COLUMNS} by category: --json", "dim"))


def _by_length(found: Curve) -> Table:
    made = plain_table()
    for name in ("k", "accept. length", "interval", "mean rate"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column("accepted at 1…k", overflow="fold")
    for name in ("rounds", "left out"):
        made.add_column(name, justify="right", no_wrap=True)
    for point in found.points:
        made.add_row(*map(Text, (str(point.draft_length), *_figures(point.acceptance))))
    return made


def _figures(seen: Acceptance | None) -> tuple[str, ...]:
    if seen is None:
        return (NOT_COMPUTED, *[ABSENT] * 5)
    return (
        f"{seen.length:.2f}",
        bounds(seen.low, seen.high),
        f"{seen.rate:.2f}",
        " ".join(f"{p:.2f}".lstrip("0") for p in seen.per_position),
        f"{seen.rounds:,}",
        f"{seen.rounds_left_out:,}",
    )


def _categories(found: Curve) -> list[str]:
    return sorted({name for point in found.points if point.acceptance for name in point.acceptance.by_category})


def _by_category(found: Curve, categories: list[str]) -> Table:
    """Acceptance length: a row for each category, a column for each draft length."""
    made = plain_table()
    made.add_column("accept. length")
    points = found.points[:COLUMNS]
    for point in points:
        made.add_column(f"k={point.draft_length}", justify="right")
    for name in categories:
        parts = [point.acceptance.by_category.get(name) if point.acceptance else None for point in points]
        made.add_row(Text(clean(name, 30)), *(Text(f"{part.length:.2f}" if part else ABSENT) for part in parts))
    return made
