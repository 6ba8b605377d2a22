"""The terminal tables: complete where there is room, honest where there is not, harmless with a stranger's text."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console
from support.certificates import equivalence
from support.verdicts import (
    ALL,
    HOSTILE,
    broken,
    cell,
    certified,
    demo,
    empty,
    hostile,
    missing_intervals,
    refuted,
    troubled,
    verdict,
    verified,
)

from reports import listings, terminal
from reports.table import show, show_comparison, show_runs
from results.compare import compare
from results.listing import RunSummary


def printed(show: Callable[[Any, Console], None], what: Any, width: int = 200, *, colours: bool = False) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colours, markup=False, highlight=False, emoji=False)
    show(what, console)
    return out.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 200])
@pytest.mark.parametrize("name", ALL)
def test_no_line_is_wider_than_the_terminal(name: str, width: int) -> None:
    assert max(cell_len(line) for line in printed(show, ALL[name](), width).splitlines()) <= width


def test_a_wide_terminal_gets_every_figure_in_one_row() -> None:
    (row,) = [line for line in printed(show, verdict([cell(4)])).splitlines() if line.startswith("4 ")]
    for figure in ("2.02×", "1.89–2.15", "1.99–2.05", "3.58", "3.33–3.83", ".82 .68 .59 .49", "9.40 → 10.1",
                   "7.09 → 3.51", "139 → 273", "36 %", "0/2 of 96", "ok"):  # fmt: skip
        assert figure in row


def test_eighty_columns_keep_speed_ups_acceptance_and_their_intervals() -> None:
    said = printed(show, verdict([cell(4)]), 80)
    for figure in ("2.02×", "1.89–2.15", "3.58", "3.33–3.83", ".82 .68 .59 .49", "7.09 → 3.51", "9.40 → 10.1", "36 %"):
        assert figure in said


def test_the_head_names_machine_state_and_trials() -> None:
    head = printed(show, troubled()).splitlines()[:3]
    assert "mtpbench 0.1.0 · demo · interrupted" in head[0]
    assert (
        "AMD EPYC 9B14 · 2 CPUs · 25.3 GB · Debian GNU/Linux 12 (bookworm) · torch 2.13.0, transformers 5.22.2"
        in head[1]
    )
    assert head[2] == "1,344 trials, 96 failed, 24 flagged"


def test_every_number_of_a_doubtful_cell_stands_in_a_labelled_row() -> None:
    said = printed(show, troubled(), 80)
    for k, label in ((2, "INVALID"), (3, "UNVERIFIED"), (4, "IMPORTED"), (5, "FAILED"), (6, "SKIPPED")):
        rows = [line for line in said.splitlines() if line.startswith(f"{k}  ")]
        labelled = [line for line in rows if label in line]
        assert len(labelled) == 2, f"k = {k} shows in the speed and in the acceptance table, labelled"
    assert "k = 2 INVALID: drafted is 0 in 24 of 24 generations: the drafter is idle" in said
    assert said.count("SYNTHETIC") >= 4


def test_failed_and_skipped_cells_show_no_figures() -> None:
    (row,) = [line for line in printed(show, troubled()).splitlines() if line.startswith("5 ")]
    assert not re.search(r"\d\.\d", row)


def test_each_group_ends_with_its_certificate_and_what_to_do() -> None:
    said = printed(show, certified(), 200).splitlines()
    at = next(i for i, line in enumerate(said) if line.startswith("Output identical to plain decoding in 20 of 20"))
    assert said[at + 1].startswith("A/A")
    assert said[at + 2].startswith("Draft 4 tokens a round")
    assert any(line.startswith("Sampled output not distinguishable") for line in said)


def test_wrong_output_is_red_in_its_row_and_below() -> None:
    said = printed(show, broken(), 400, colours=True)
    (row,) = [line for line in said.splitlines() if "UNEXPLAINED" in line and "2.02×" in line and "k =" not in line]
    assert "\x1b[1;31mUNEXPLAINED" in row
    assert said.count("\x1b[1;31mBIASED") == 3, "two rows and one sentence"
    assert "\x1b[1;31mk = 4: token 17 of code-000" in said


def test_a_label_is_loud_whatever_stands_before_it() -> None:
    said = printed(show, verdict([cell(4, status="unverified", equivalence=equivalence(unexplained=1))]), colours=True)
    assert "\x1b[1;31mUNVERIFIED UNEXPLAINED" in said


@pytest.mark.parametrize("width", [60, 200])
def test_without_speed_the_certificate_is_all_there_is(width: int) -> None:
    for run in (verified(), refuted()):
        said = printed(show, run, width)
        assert "worst regret" in said
        for absent in ("speed-up", "A/A", "ranked", "TPOT", "units", "not distinguishable from plain"):
            assert absent not in said


def test_without_speed_every_class_of_divergence_has_its_column() -> None:
    said = printed(show, refuted()).splitlines()
    (row,) = [line.split() for line in said if line.startswith("4 ") and "unexplained" in line]
    assert row[:7] == ["4", "unexplained", "20", "14", "1", "0", "5"]
    (untold,) = [line for line in said if line.startswith("2 ")]
    assert untold.split()[2:7] == ["–"] * 5
    assert said[-1].startswith("Output is not the target's own in 1 of 3 cells")


def test_unknown_figures_are_called_unknown() -> None:
    said = printed(show, missing_intervals())
    assert "not computed" in said
    assert "not revealed" in said
    assert "A/A not computed" in said


def test_an_empty_run_says_so() -> None:
    assert "Nothing was measured" in printed(show, empty())


@pytest.mark.parametrize("width", [60, 120])
def test_a_strangers_text_cannot_control_the_terminal(width: int) -> None:
    said = printed(show, hostile(), width, colours=True)
    without_own_styles = re.sub(r"\x1b\[[0-9;]*m", "", said)
    assert not set(without_own_styles) & set("\x1b\x07\x00\x9b\u202e\u2066\ud800")
    assert "[bold red]markup[/]" in " ".join(without_own_styles.split())


def test_a_comparison_shows_ratios_what_is_only_in_one_run_and_what_differs() -> None:
    found = compare(verdict([cell(k) for k in (1, 2, 3)]), verdict([cell(k, scale=1.1) for k in (1, 2)]))
    said = printed(show_comparison, replace(found, warnings=("sweep.seed: 0 in A, 1 in B",)))
    assert "1.36× → 1.50×" in said
    assert "1.100" in said
    assert "only in A: transformers demo mtp k = 3, 64-token prompts" in said
    assert "! sweep.seed: 0 in A, 1 in B" in said


def test_a_comparison_labels_doubtful_cells() -> None:
    doubtful = verdict([cell(1, status="invalid", synthetic=True)])
    assert "B INVALID SYNTHETIC" in " ".join(printed(show_comparison, compare(verdict([cell(1)]), doubtful)).split())


def test_a_comparison_labels_speed_ups_of_other_output() -> None:
    said = " ".join(printed(show_comparison, compare(broken(), broken())).split())
    assert "A UNEXPLAINED B UNEXPLAINED" in said


def test_runs_without_a_common_cell_are_said_to_have_none() -> None:
    assert "no cell in common" in printed(show_comparison, compare(demo(), empty()))


def test_the_listing_shows_readable_and_unreadable_files() -> None:
    rows = [
        RunSummary("a.sqlite", 2_000_000, None, "demo", "2026-11-23T15:20:00+00:00", "finished", ("transformers",),
                   ("demo",), 12, 1344, 0),
        RunSummary("b.sqlite", 12, problem=f"b.sqlite: not a run file {HOSTILE}"),
    ]  # fmt: skip
    said = printed(show_runs, rows)
    assert "1,344" in said
    assert "2.00 MB" in said
    assert "not a run file" in said
    assert "\x1b]0" not in said
    assert "mtpbench run" in printed(show_runs, [])


def _catalogue() -> dict[str, tuple[Callable[[Any, Console], None], Any]]:
    able = {
        "methods": ["mtp", HOSTILE], "max_batch_plain": None, "max_batch_speculative": 1, "draft_change": "per-request",
        "reveals": "rounds", "sampling": True, "scores": False, "notes": [HOSTILE],
    }  # fmt: skip
    planned = {
        "group": 0, "role": "speculative", "backend": HOSTILE, "pair": "demo", "method": "mtp", "draft_length": 4,
        "batch_size": 1, "prompt_tokens": None, "output_tokens": 96, "temperature": 0.0, "reason": HOSTILE,
    }  # fmt: skip
    pair = {
        "name": "demo", "alias": None, "kind": "dense", "target": HOSTILE, "assistant": "a/b", "draft_lengths": [1, 4],
        "sliding_window": 128, "licence": HOSTILE, "special": [HOSTILE],
    }  # fmt: skip
    runtime = {"title": HOSTILE, "capabilities": able, "availability": {
        "usable": False, "version": None, "device": None, "reason": HOSTILE, "advice": "pip install x"}}  # fmt: skip
    plan = {"name": "demo", "cells": [planned], "skipped": [planned], "engines": 1, "units": 24, "visits": None,
            "calls": None, "tokens": None, "seconds": None}  # fmt: skip
    return {
        "backends": (listings.show_backends, [{"name": HOSTILE, "title": "T", **able}]),
        "pairs": (listings.show_pairs, [pair]),
        "workloads": (
            listings.show_workloads,
            [{"name": "gsm8k", "about": HOSTILE, "licence": "MIT", "prompts": None}],
        ),
        "doctor": (listings.show_doctor, {"machine": {"cpu": {"model": HOSTILE}}, "runtimes": [runtime]}),
        "plan": (listings.show_plan, plan),
    }


@pytest.mark.parametrize("name", _catalogue())
def test_listings_are_harmless_and_fit(name: str) -> None:
    show_it, rows = _catalogue()[name]
    said = printed(show_it, rows, 100)
    assert not set(said) & set("\x1b\x07\x00\u202e\ud800")
    assert max(cell_len(line) for line in said.splitlines()) <= 100


def test_a_runtime_that_waits_for_a_server_is_not_called_usable() -> None:
    show_it, examined = _catalogue()["doctor"]
    seen = {"usable": True, "version": None, "device": None, "reason": "no server answers", "advice": "-o ollama.url=…"}
    (runtime,) = examined["runtimes"]
    said = printed(show_it, examined | {"runtimes": [runtime | {"title": "Ollama", "availability": seen}]})
    (row,) = [line for line in said.splitlines() if line.startswith("Ollama")]
    assert re.split(r"  +", row.strip())[1:4] == ["not yet", "not known", "not known"]
    assert "no server answers: -o ollama.url=…" in said


def test_a_plan_says_what_it_costs_or_that_it_cannot_know() -> None:
    show_it, plan = _catalogue()["plan"]
    assert "time unknown for this pair" in printed(show_it, plan)
    known = plan | {"seconds": 170.0, "calls": 1104, "visits": 1}
    assert "visited 1 time, 1,104 calls, at most about 2 min 50 s of measuring" in printed(show_it, known)


def test_output_that_goes_to_a_file_gets_a_generous_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    assert terminal.console().width == 160


def test_an_old_terminal_gets_question_marks_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, "ascii"))
    console = terminal.console()
    show(demo(), console)
    console.file.flush()
    assert b"2.04?" in raw.getvalue()
