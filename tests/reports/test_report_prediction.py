"""Predicted speed-ups beside measured ones, in the terminal and in the report."""

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from support.predictions import TOLD, economy, predicted
from support.runs import run_file
from support.verdicts import cell, verdict

from reports import prediction
from reports.groups import groups
from reports.html import render
from reports.table import show
from results.verdicts import RunVerdict


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


def costs(run: RunVerdict) -> list[str]:
    return [line.text for group in groups(run) for line in prediction.costs(group)]


def test_the_terminal_tells_break_even_and_floor_in_a_line_each() -> None:
    faster = replace(TOLD, measured_over_floor=1.5, bandwidth=2e11)
    assert costs(verdict([cell(2, prediction=TOLD), cell(4, prediction=faster)])) == [
        "Drafting pays from an acceptance length of: k = 2 1.90 (measured 2.51), k = 4 1.90 (measured 3.58)",
        "A verification over its floor: k = 2 1.25×, k = 4 1.50× (machine: 200–250 GB/s and 1,000 GFLOP/s)",
    ]


def test_a_pass_below_its_floor_is_explained_in_the_terminal() -> None:
    told = costs(verdict([cell(2, prediction=replace(TOLD, measured_over_floor=0.9)), cell(4, prediction=TOLD)]))
    assert told[2:] == ["Batch 1 at k = 2: below the floor of memory: the model fits the caches."]


def test_the_terminal_leaves_out_what_is_unknown() -> None:
    bare = replace(TOLD, measured_over_floor=None, bandwidth=None, peak=None)
    assert costs(verdict([cell(2, prediction=bare, acceptance=None)])) == [
        "Drafting pays from an acceptance length of: k = 2 1.90"
    ]
    partly = costs(verdict([cell(2, prediction=bare), cell(4, prediction=replace(bare, measured_over_floor=2.0))]))
    assert partly[1] == "A verification over its floor: k = 2 not revealed, k = 4 2.00×"
    assert costs(verdict([cell(2)])) == []


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_costs_make_no_line_wider_than_the_terminal_and_no_table_narrower(width: int) -> None:
    def tables(run: RunVerdict) -> list[str]:
        out = io.StringIO()
        show(run, Console(file=out, width=width, markup=False, highlight=False, emoji=False))
        lines = out.getvalue().splitlines()
        assert max(map(cell_len, lines)) <= width
        return [line for line in lines if re.match(r"(k|\d)   ", line)]

    bare = economy()
    assert tables(bare) == tables(replace(bare, cells=[replace(each, prediction=None) for each in bare.cells]))


def test_costs_keep_the_labels_of_their_cells() -> None:
    told = costs(verdict([predicted(4, 1, 1.5, synthetic=True)]))
    assert all("k = 4 SYNTHETIC " in line for line in told)
