"""Where drafting pays over draft length and batch size, what a round costs, and how far that is from its floor."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.predictions import TOLD, economy, predicted
from support.runs import run_file
from support.verdicts import HOSTILE, acceptance, cell, demo, run_facts, verdict

from reports.economy import Economy, economies
from reports.groups import groups
from reports.html import render
from reports.plots.prediction import beside_measured
from results.expected import Prediction
from results.verdicts import CellVerdict, Interval, RunVerdict


def found(run: RunVerdict) -> list[Economy]:
    return economies(groups(run))


def page(folder: Path, run: RunVerdict) -> str:
    with run_file(folder / "run.sqlite", run) as file:
        return render([(file, run)])


def section(html: str) -> str:
    """The section of costs; empty where the report has none."""
    start = html.find('<section id="costs"')
    return "" if start < 0 else html[start : html.index("</section>", start)]


def row(html: str, *starts: str) -> list[str]:
    """The texts of the table row that starts with these cells."""
    for line in re.findall(r"<tr.*?</tr>", html, re.S):
        texts = [
            " ".join(re.sub(r"<[^>]+>", " ", text).split()) for text in re.findall(r"<t[hd].*?</t[hd]>", line, re.S)
        ]
        if texts[: len(starts)] == [*starts]:
            return texts
    raise AssertionError(f"no row {starts}")


def test_groups_that_differ_in_their_batch_only_stand_in_one_grid() -> None:
    (one,) = found(economy())
    assert [each[0].cell.batch_size for each in one.rows] == [1, 4, 16]
    assert one.lengths == (1, 2, 6)
    assert "batch" not in one.title


@pytest.mark.parametrize("change", [{"prompt_tokens": 256}, {"temperature": 0.7}, {"device": "cuda"}, {"dtype": "f16"}])
def test_groups_that_differ_in_more_have_grids_of_their_own(change: dict[str, Any]) -> None:
    both = found(verdict([predicted(1, 1, 1.4), predicted(1, 4, 1.3, **change)]))
    assert len(both) == 2
    assert len({one.title for one in both}) == len({one.label for one in both}) == 2


def test_methods_have_grids_of_their_own() -> None:
    run = verdict([predicted(1, 1, 1.4, cell_id=1), predicted(1, 1, 1.2, method="lookup", cell_id=2)])
    assert [one.title.rpartition(" · ")[2] for one in found(run)] == ["lookup", "mtp"]


def test_the_line_lies_between_neighbours_of_which_only_one_pays() -> None:
    (one,) = found(economy())
    assert [[square.css for square in line] for line in one.grid] == [
        ["", "", "stops-below"],
        ["", "stops-right", ""],
        ["", "", ""],  # what was not measured has no line
    ]
    (one,) = found(verdict([predicted(1, 1, 1.4), predicted(2, 1, 0.9), predicted(1, 4, 0.8), predicted(2, 4, 0.7)]))
    assert [[square.css for square in line] for line in one.grid] == [["stops-right stops-below", ""], ["", ""]]


def test_the_line_stands_in_words_too() -> None:
    (one,) = found(economy())
    assert one.sentences == [
        "Batch 1: drafting is predicted to pay at every k.",
        "Batch 4: drafting is predicted to pay at k = 1 and k = 2, not at k = 6.",
        "Batch 16: drafting is predicted to pay at k = 1, not at k = 6.",
    ]
    (one,) = found(verdict([predicted(1, 1, 0.9)]))
    assert one.sentences == ["Batch 1: drafting is not predicted to pay at k = 1."]


def test_cells_in_doubt_are_shown_with_their_label_and_draw_no_line(tmp_path: Path) -> None:
    run = verdict([predicted(1, 1, 1.4), predicted(2, 1, 0.9, status="invalid"), predicted(4, 1, 1.2)])
    (one,) = found(run)
    assert [square.css for square in one.grid[0]] == ["", "", ""]
    assert one.sentences == ["Batch 1: drafting is predicted to pay at k = 1 and k = 4."]
    assert row(section(page(tmp_path, run)), "batch 1")[2] == "0.90× 2.51 &lt; 2.79 INVALID"
    (one,) = found(verdict([predicted(2, 1, 0.9, status="unverified")]))
    assert one.sentences == ["Batch 1: nothing can be said."]


def test_without_predictions_nothing_is_shown(tmp_path: Path) -> None:
    unpredicted = verdict([cell(2)])
    of_output = economy(sweep={**run_facts()["sweep"], "speed": False})
    for run in (demo(), verdict([]), unpredicted, verdict([cell(2, status="skipped", prediction=TOLD)]), of_output):
        assert found(run) == []
    html = page(tmp_path, unpredicted)
    assert section(html) == ""
    assert 'href="#costs"' not in html


def test_the_report_shows_picture_grid_and_costs(tmp_path: Path) -> None:
    html = page(tmp_path, economy())
    told = section(html)
    assert 'href="#costs"' in html
    assert told.count("<svg") == 1
    length = acceptance(6).length
    assert row(told, "batch 4") == [
        "batch 4",
        "1.30× 1.84 ≥ 1.42",
        "1.20× 2.51 ≥ 2.09",
        f"0.90× {length:.2f} &lt; {length / 0.9:.2f}",
    ]
    assert row(told, "batch 16")[2] == "–"
    assert row(told, "batch 4", "k = 6")[2:] == [
        "ok", "10.0", "1.00", "0.500", "9.00", "0.400", "2.00", "5.00", "250", "1,000", "8.00", "1.25",
    ]  # fmt: skip
    assert 'class="n stops-below h' in told
    assert "wait for others to join" not in told


def test_one_batch_size_is_one_row(tmp_path: Path) -> None:
    told = section(page(tmp_path, verdict([predicted(1, 1, 1.4), predicted(2, 1, 0.9)])))
    assert row(told, "batch 1") == ["batch 1", "1.40× 1.84 ≥ 1.31", "0.90× 2.51 &lt; 2.79"]
    assert "stops-right" in told and "stops-below" not in told


def test_what_the_engine_does_not_state_is_not_revealed(tmp_path: Path) -> None:
    bare = Prediction(speedup=1.5, break_even=1.2, t_ms=10.0, d_ms=1.0, o_ms=0.5, measured_over_floor=None)
    told = section(page(tmp_path, verdict([cell(2, prediction=bare, acceptance=None)])))
    assert row(told, "batch 1", "k = 2")[3:] == ["10.0", "1.00", "0.500", *["not revealed"] * 8]
    assert row(told, "batch 1")[1] == "1.50× from 1.20"


def test_waiting_is_said_where_it_counts(tmp_path: Path) -> None:
    told = replace(TOLD, wait_ms=1.0, plain_wait_ms=0.0)
    assert "wait for others to join" in section(page(tmp_path, verdict([cell(2, prediction=told)])))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"measured_over_floor": None}, []),
        ({"measured_over_floor": 1.0}, []),
        ({"measured_over_floor": 0.8}, ["Batch 1 at k = 2: below the floor of memory: the model fits the caches."]),
        ({"measured_over_floor": 0.8, "flops": None, "bandwidth": None},
         ["Batch 1 at k = 2: below the floor of memory: the model fits the caches."]),
        ({"measured_over_floor": 0.8, "flops": 9e9},
         ["Batch 1 at k = 2: below the floor of arithmetic: the product that gave the peak was slower."]),
    ],
)  # fmt: skip
def test_a_pass_below_its_floor_is_explained(change: dict[str, Any], expected: list[str]) -> None:
    assert found(verdict([cell(2, prediction=replace(TOLD, **change))]))[0].notes == expected


def test_passes_below_their_floor_are_named_together() -> None:
    below = replace(TOLD, measured_over_floor=0.5)
    cells = [cell(k, group=b, batch_size=b, prediction=below if k < b else TOLD) for b in (2, 4, 8) for k in (1, 2, 4)]
    (note,) = found(verdict(cells))[0].notes
    assert note.startswith(
        "Batch 2 at k = 1; batch 4 at k = 1 and k = 2; batch 8 at every k: below the floor of memory"
    )


def test_the_report_explains_a_pass_below_its_floor(tmp_path: Path) -> None:
    run = verdict([cell(2, prediction=replace(TOLD, measured_over_floor=0.8)), cell(4, prediction=TOLD)])
    told = section(page(tmp_path, run)).replace("\u00a0", " ")
    assert told.count("below the floor") == 1
    assert "<li>Batch 1 at k = 2: below the floor of memory: the model fits the caches.</li>" in told


def drawn(*cells: CellVerdict) -> Any:
    return beside_measured("p", found(verdict([*cells]))[0])


def test_the_picture_tells_its_figures_in_words() -> None:
    picture = drawn(predicted(4, 1, 1.9), predicted(4, 8, 1.1))
    assert picture.alternative == (
        "batch 1: k = 4 measured 2.02× (new prompts 1.89–2.15), predicted 1.90×; "
        "batch 8: k = 4 measured 2.02× (new prompts 1.89–2.15), predicted 1.10×."
    )
    assert picture.about.startswith("2 batch sizes, 2 cells")
    assert {"batch 1", "batch 8", "measured", "predicted", "draft length k"} <= set(
        re.findall(r">([^<>]+)</text>", picture.svg)
    )


def test_an_interval_beyond_the_points_is_cut_and_that_is_said() -> None:
    one = cell(4)
    assert one.speedup is not None
    wide = predicted(4, 1, 1.9, speedup=replace(one.speedup, these_prompts=Interval(0.01, 300.0)))
    assert drawn(wide).about.endswith("intervals are cut at the edge")
    assert "cut" not in drawn(predicted(4, 1, 1.9)).about


def test_the_picture_shows_ranked_and_timed_cells_only() -> None:
    assert drawn(predicted(4, 1, 1.9, status="invalid")) is None
    assert drawn(predicted(4, 1, 1.9, speedup=None)) is None
    picture = drawn(predicted(4, 1, 1.9, status="invalid"), predicted(4, 2, 1.9, synthetic=True))
    assert picture.alternative.startswith("batch 2: k = 4 SYNTHETIC measured")
    assert picture.svg.count("SYNTHETIC</text>") == 1
    both = drawn(predicted(4, 1, 1.9), predicted(4, 2, 1.9, synthetic=True))
    assert both.svg.count("SYNTHETIC</text>") == 1
    assert both.svg.index("SYNTHETIC</text>") > both.svg.index("batch 2</text>")


@pytest.mark.parametrize("batches", [1, 2, 3, 4, 7])
def test_every_batch_size_has_a_panel_and_no_ground_of_its_own(batches: int) -> None:
    picture = drawn(*(predicted(k, 2**i, 1.5) for i in range(batches) for k in (1, 2, 4)))
    assert sum(text.startswith("batch ") for text in re.findall(r">([^<>]+)</text>", picture.svg)) == batches
    assert picture.svg.count(">draft length k</text>") == min(batches, 2)
    assert "#ffffff" not in picture.svg, "a ground that dark mode would not change"
    assert len(picture.svg) < 25_000 + 8_000 * batches


def test_a_strangers_names_run_nothing(tmp_path: Path) -> None:
    told = section(page(tmp_path, verdict([predicted(1, 1, 1.4, pair=HOSTILE, device=HOSTILE, backend=HOSTILE)])))
    assert told
    assert "<script" not in told and "<img" not in told
    assert not set(told) & set("\x1b\x00\u202e\ud800")
