"""Predicted speed-ups beside measured ones, in the terminal and in the report."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from support.runs import run_file
from support.verdicts import cell, verdict

from reports import prediction
from reports.groups import groups
from reports.html import render
from reports.table import show
from results.verdicts import Prediction, RunVerdict

TOLD = Prediction(speedup=1.52, break_even=1.9, t_ms=10.0, d_ms=1.0, o_ms=0.5, measured_over_floor=1.3)


def said(run: RunVerdict) -> list[str]:
    return [line.text for group in groups(run) for line in prediction.lines(group)]


def test_every_draft_length_that_was_predicted_stands_beside_its_measurement() -> None:
    run = verdict([cell(2, prediction=TOLD), cell(4, prediction=TOLD), cell(6)])
    assert said(run) == [
        "Predicted from costs measured alone: k = 2 1.52× (measured 1.65×), k = 4 1.52× (measured 2.02×)"
    ]


def test_nothing_is_said_where_nothing_was_predicted_or_measured() -> None:
    assert said(verdict([cell(2)])) == []
    assert said(verdict([cell(2, prediction=TOLD, status="skipped")])) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"synthetic": True}, "k = 4 SYNTHETIC 1.52×"), ({"speedup": None}, "(measured not computed)")],
)
def test_figures_keep_their_labels_and_what_is_missing_is_said(change: dict[str, object], expected: str) -> None:
    (line,) = said(verdict([cell(4, prediction=TOLD, **change)]))
    assert expected in line


def test_terminal_and_report_say_it_once(tmp_path: Path) -> None:
    for run, times in ((verdict([cell(4, prediction=TOLD)]), 1), (verdict([cell(4)]), 0)):
        out = io.StringIO()
        show(run, Console(file=out, width=400, markup=False, highlight=False, emoji=False))
        assert out.getvalue().count("Predicted from costs measured alone: ") == times
        with run_file(tmp_path / f"{times}.sqlite", run) as file:
            assert render([(file, run)]).count("Predicted from costs measured alone: ") == times
