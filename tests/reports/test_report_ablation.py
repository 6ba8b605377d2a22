"""What losing a part costs, in the terminal and in the report."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from support.runs import run_file
from support.verdicts import HOSTILE, cell, verdict

from reports import ablation
from reports.groups import groups
from reports.html import render
from reports.table import show
from results.ablations import WITHOUT, ablations
from results.verdicts import RunVerdict

CENTROIDS = WITHOUT["centroids"]


def ablated(**changes: object) -> RunVerdict:
    """Arms with and without centroids at two draft lengths; without them a tenth of the speed-up is gone."""
    made = verdict([*(cell(k, **changes) for k in (2, 4)), *(cell(k, scale=0.9, method=CENTROIDS) for k in (2, 4))])
    return replace(made, ablations=ablations(made.cells))


def said(run: RunVerdict) -> list[str]:
    return [line.text for group in groups(run) for line in ablation.lines(group)]


def printed(run: RunVerdict) -> str:
    out = io.StringIO()
    show(run, Console(file=out, width=400, markup=False, highlight=False, emoji=False))
    return out.getvalue()


def test_one_sentence_for_each_part_with_its_interval_and_n() -> None:
    (line,) = said(ablated())
    assert line == (
        "MTP without centroids: 0.90× (0.90–0.90) the speed-up and 0.94× the acceptance length at k = 2; "
        "0.90× (0.90–0.90) the speed-up and 0.93× the acceptance length at k = 4 (24 units, paired)"
    )


def test_memory_that_is_no_longer_shared_is_part_of_the_price() -> None:
    made = verdict([cell(2), cell(2, method=WITHOUT["embeddings"], own_bytes=8_400_000)])
    (line,) = said(replace(made, ablations=ablations(made.cells)))
    assert line.startswith(
        "MTP without embeddings: 1.00× (1.00–1.00) the speed-up, 1.00× the acceptance length and 8.40 MB"
    )
    assert "8.40 MB of memory more at k = 2" in line


def test_the_sentence_stands_under_the_table_and_nowhere_else() -> None:
    assert "MTP without centroids: 0.90×" in printed(ablated())
    assert "MTP without" not in printed(verdict([cell(2)]))


def test_the_report_has_it_under_the_table_of_speed_ups(tmp_path: Path) -> None:
    for run, times in ((ablated(), 1), (verdict([cell(2)]), 0)):
        with run_file(tmp_path / f"{times}.sqlite", run) as file:
            html = render([(file, run)])
        assert html.count("MTP without centroids: ") == times


def test_synthetic_prices_are_marked_and_what_is_unknown_is_left_out() -> None:
    (line,) = said(ablated(synthetic=True, acceptance=None))
    assert line.startswith("MTP without centroids: SYNTHETIC 0.90× (0.90–0.90) the speed-up at k = 2; SYNTHETIC 0.90×")
    run = ablated()
    single = replace(run.ablations[0], new_prompts=None, units=1, acceptance=None)
    (line,) = said(replace(run, ablations=[single]))
    assert line == "MTP without centroids: 0.90× (interval not computed) the speed-up at k = 2 (1 unit, paired)"


def test_a_stranger_s_name_of_a_part_is_harmless() -> None:
    run = ablated()
    (line,) = said(replace(run, ablations=[replace(run.ablations[0], part=HOSTILE)]))
    assert "\x1b" not in line and len(line) < 200
