"""One self-contained HTML report of one or several runs: no network, no script needed, nothing of a file trusted."""

from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment

from reports import page, text
from reports.groups import labels, measured, sound, wrong
from reports.lossless import output
from reports.tradeoff import change, layers, sizes
from reports.view import Run, run_view
from results.runfile import RunFile
from results.verdicts import CellVerdict, RunVerdict

_DRAWN = 12
"""Groups that get pictures, shared among the runs of a report: ten pictures each, a tenth of a second a picture."""
_FEW = 4
"""With more runs than this, whose pictures nobody sees beside each other, a third as many groups are drawn."""
_SHADES = 7
"""Steps of the shading of the overview table."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A recorded fact in which the runs of a report differ."""

    name: str
    values: tuple[str, ...]


_DIFFERENCES = 30
"""At most so many differences are listed; more means the machines have little in common."""
_ALWAYS_DIFFERENT = ("load_average", "mhz_now", "available_bytes", "free_bytes", "uptime_s")


def differences(runs: list[Run]) -> list[Difference]:
    """What the runs' provenance and sweeps do not share, load and clocks at the start apart."""
    tables = [dict((*run.provenance, *run.sweep)) for run in runs]
    names = dict.fromkeys(name for table in tables for name in table)
    found = [
        Difference(name, tuple(table.get(name, text.ABSENT) for table in tables))
        for name in names
        if not name.endswith(_ALWAYS_DIFFERENT) and len({table.get(name) for table in tables}) > 1
    ]
    return found[:_DIFFERENCES]


def shade(cell: CellVerdict, largest: float) -> int:
    """How strongly a cell of the overview is tinted: 0 at or below 1x, `_SHADES` at the run's largest speed-up."""
    return 0 if labels(cell) or cell.speedup is None else tint(cell.speedup.point, largest)


def tint(gain: float, largest: float) -> int:
    """The same for a speed-up, measured or predicted."""
    return 0 if gain <= 1 or largest <= 1 else max(1, round(_SHADES * (gain - 1) / (largest - 1)))


def _environment() -> Environment:
    made = page.environment()
    made.filters |= {
        "number": text.number,
        "revealed": text.revealed,
        "ratio": text.ratio,
        "span": text.span,
        "share": text.share,
        "small": text.small,
        "size": text.size,
        "tied": text.tied,
    }
    made.globals |= {
        "bounds": text.bounds,
        "count": text.count,
        "labels": labels,
        "measured": measured,
        "sound": sound,
        "output": output,
        "wrong": wrong,
        "shade": shade,
        "tint": tint,
        "change": change,
        "sizes": sizes,
        "layers": layers,
    }
    return made


def _names(files: list[tuple[RunFile, RunVerdict]]) -> list[str]:
    """What to call each run: its own name, or its file's where several have the same."""
    names = [text.clean(verdict.run.get("name") or file.path.stem, 60) for file, verdict in files]
    if len(set(names)) < len(names):
        names = [text.clean(file.path.stem, 60) for file, _ in files]
    return names


def shares(groups: Sequence[int]) -> list[int]:
    """How many of its groups each run may draw: one after another, so that none draws two before all draw one.

    groups: how many groups each run has.
    """
    left, drawn = _DRAWN if len(groups) <= _FEW else _DRAWN // 3, [0] * len(groups)
    for each in range(max(groups, default=0)):
        for run, has in enumerate(groups):
            if left and each < has:
                drawn[run], left = drawn[run] + 1, left - 1
    return drawn


def render(files: list[tuple[RunFile, RunVerdict]], price_per_hour: float | None = None) -> str:
    """The report of these runs as one HTML page. price_per_hour: of the machine, in whatever currency."""
    drawn = shares([len({cell.group for cell in verdict.cells}) for _, verdict in files])
    runs = [
        run_view(f"r{number}", name, file, verdict, share, len(files), price_per_hour)
        for number, (name, (file, verdict), share) in enumerate(zip(_names(files), files, drawn, strict=True), start=1)
    ]
    style, script = page.asset("style.css"), page.asset("sort.js")
    return (
        _environment()
        .get_template("report.html")
        .render(
            runs=runs,
            price=price_per_hour,
            differences=differences(runs) if len(runs) > 1 else [],
            style=style,
            script=script,
            policy=page.policy(style, script),
        )
    )
