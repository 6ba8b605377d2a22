"""The tables of docs/method.md, "Proof of the statistics": `python -m tests.statistics.method_tables` rewrites them.

Each stands between two markers of its own; nothing else of the page is touched. A test compares the committed
tables with what the simulations give.
"""

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.statistics import study_choices as choices
from tests.statistics import study_gate as gates
from tests.statistics import study_regression as regressions
from tests.statistics.designs import BAND, DESIGNS
from tests.statistics.study_intervals import figures

PAGE = Path(__file__).parents[2] / "docs" / "method.md"


def percent(share: float, digits: int = 1) -> str:
    """0.9512 -> 95.1."""
    return f"{100 * share:.{digits}f}"


def covered(share: float) -> str:
    """A coverage in percent, bold where it lies outside of 93 to 97."""
    return percent(share) if BAND[0] <= share <= BAND[1] else f"**{percent(share)}**"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """In Markdown: the first column left, the others right."""
    titles = list(head)
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def coverage_table() -> str:
    """Every design of `designs`."""
    head = ("design", "these prompts", "± %", "new prompts", "± %", "A/A called different")
    rows = []
    for design in DESIGNS:
        f = figures(design)
        rows.append(
            (
                design.name,
                covered(f.these),
                percent(f.these_width),
                covered(f.new),
                percent(f.new_width),
                percent(f.called),
            )
        )
    return table(head, rows)


def best_table() -> str:
    """The best of several arms."""
    rows = [(design.name, *map(percent, choices.best_of(design))) for design in choices.BEST_OF]
    return table(("arms", "best, not adjusted", "best, adjusted", "all arms at once, adjusted"), rows)


def stop_table() -> str:
    """The stop rule."""
    rows = []
    for rule in choices.STOPPING:
        f = choices.stopped(rule)
        rows.append((rule.name, f"{f.blocks:.0f}", covered(f.these), covered(f.without), covered(f.new)))
    return table(("stops at", "blocks (median)", "these prompts", "had the number been fixed", "new prompts"), rows)


def order_table() -> str:
    """Mirrored against sequential arms."""
    rows = []
    for drift in choices.DRIFTS:
        for mirrored in (True, False):
            f = choices.ordered(mirrored, drift)
            name = "mirrored blocks" if mirrored else "one arm after the other"
            rows.append((f"{drift:.0%} drift, {name}", percent(f.error, 2), covered(f.these), covered(f.new)))
    return table(("order", "error (RMSE, %)", "these prompts", "new prompts"), rows)


def gate_table() -> str:
    """The gate's rule."""
    rows = [(design.name, *map(percent, gates.rates(design))) for design in gates.GATES]
    head = (
        "gate",
        "free looks and cells",
        "equal shares",
        "spent late (the rule)",
        "2 % worse is found: equal shares",
        "the rule",
    )
    return table(head, rows)


def regression_table() -> str:
    """What `mtpbench gate` says to slow-downs of known size."""
    rows = []
    for design in regressions.GATES:
        found = [regressions.rates(design, slowdown) for slowdown in regressions.SLOWDOWNS]
        for field in ("passed", "failed", "inconclusive"):
            figures = [percent(getattr(rates, field)) for rates in found]
            if field == "failed":
                figures = [
                    f"**{text}**" if regressions.too_many(rates, slowdown) else text
                    for text, rates, slowdown in zip(figures, found, regressions.SLOWDOWNS, strict=True)
                ]
            rows.append((f"{design.name}: {field}", *figures))
    return table(("gate", *(f"{slowdown:.0%} slower" for slowdown in regressions.SLOWDOWNS)), rows)


TABLES: dict[str, Callable[[], str]] = {
    "coverage": coverage_table,
    "best": best_table,
    "stop": stop_table,
    "order": order_table,
    "gate": gate_table,
    "regression": regression_table,
}


def between(name: str) -> re.Pattern[str]:
    """What stands between the markers of a table."""
    return re.compile(rf"(?<=<!-- statistics: {name} -->\n\n).*?(?=\n\n<!-- end -->)", re.DOTALL)


def committed(name: str) -> str:
    """The table as the page has it."""
    found = between(name).search(PAGE.read_text(encoding="utf-8"))
    assert found, f"docs/method.md: no table between <!-- statistics: {name} --> and <!-- end -->"
    return found[0]


def main() -> None:
    """Simulate the named tables, or all of them, and write them into the page as it is by then."""
    made = {name: TABLES[name]() for name in sys.argv[1:] or TABLES}
    page = PAGE.read_text(encoding="utf-8")
    for name, text in made.items():
        page, count = between(name).subn(lambda _, text=text: text, page)
        assert count == 1, f"docs/method.md: {count} places for the table {name}, expected one"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
