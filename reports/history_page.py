"""A history as one self-contained HTML page: no network, no script, nothing of a file trusted."""

from dataclasses import dataclass

from reports import page
from reports.history import facts, headline, method, name, sentences
from reports.plots.canvas import Picture
from reports.plots.history import over_runs
from results.trends.history import METRICS, History, Trend

DRAWN = 8
"""Cells that get pictures, those with changes of level first: the table has all."""
_FACTS = 40
"""Recorded facts of a run that are listed."""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A cell and its pictures."""

    title: str
    said: tuple[str, ...]
    pictures: tuple[Picture, ...]


def render(history: History) -> str:
    """The page."""
    style = page.asset("style.css")
    shown = sorted(history.trends, key=lambda trend: not trend.changes)[:DRAWN]
    return (
        page.environment()
        .get_template("history.html")
        .render(
            history=history,
            headline=headline(history),
            method=method(history),
            cells=[_drawn(f"c{number}", trend, history) for number, trend in enumerate(shown, 1)],
            rows=[(name(trend.cell), trend, tuple(sentences(trend))) for trend in history.trends],
            runs=[(run, facts(run, _FACTS)) for run in history.runs],
            style=style,
            policy=page.policy(style),
        )
    )


def _drawn(key: str, trend: Trend, history: History) -> _Drawn:
    pictures = (over_runs(f"{key}-{place}", trend, metric, history.runs) for place, metric in enumerate(METRICS))
    return _Drawn(name(trend.cell), tuple(sentences(trend)), tuple(one for one in pictures if one is not None))
