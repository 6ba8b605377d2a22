"""The live display follows the harness' events, on a terminal and in a log."""

import inspect
import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.observe import Observer
from reports import progress
from reports.progress import Progress
from results.records import (
    HEADLINE,
    INSTRUMENTED,
    PLAIN,
    SPECULATIVE,
    Cell,
    Draft,
    Failure,
    Sampling,
    SessionFacts,
    Trial,
)

FACTS = SessionFacts({"torch": "2.13.0"}, "cpu", "float32", (1,), 2048, 2048)


def cell(group: int, prompt: int, k: int | None = 4) -> Cell:
    role, draft = (PLAIN, None) if k is None else (SPECULATIVE, Draft("mtp", k))
    return Cell(group, role, "transformers", "demo", draft, 1, prompt, 96, Sampling(), "float32", "cpu")


def trial(phase: str = HEADLINE, failure: Failure | None = None, flags: tuple[str, ...] = ()) -> Trial:
    return Trial(1, 1, 0, 0, 0, phase, 0, 1, None, failure, flags)  # type: ignore[arg-type]


def run(console: Console) -> Progress:
    """A short run: two groups, one failed call, one flagged one."""
    cells = [cell(g, p, k) for g, p in ((0, 64), (1, 256)) for k in (None, 4)]
    with Progress(console) as shown:
        observer: Observer = shown
        observer.planned(Path("runs/demo.sqlite"), cells, 8)
        observer.launching("transformers", "demo")
        observer.launched("transformers", "demo", FACTS, 2.5)
        observer.warming(cells[1])
        observer.trial_done(cells[0], trial())
        observer.trial_done(cells[1], trial(INSTRUMENTED, Failure("timeout", "after 600 s"), ("throttled",)))
        observer.block_done(cells[0], 12, 0.031, 71.0)
        observer.note("arm mtp k=4 is given up \x1b[31m")
        observer.launch_failed("vllm", "demo", Failure("crash", "killed by signal 9"))
        observer.group_stopped(cells[2], "precision reached")
    return shown


def test_it_implements_every_event_of_the_observer_with_the_same_arguments() -> None:
    for name, event in inspect.getmembers(Observer, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(Progress, name)).parameters) == list(
                inspect.signature(event).parameters
            ), name


def test_a_log_gets_one_plain_line_per_event_that_matters() -> None:
    out = io.StringIO()
    run(Console(file=out, width=80, force_terminal=False))
    lines = out.getvalue().splitlines()
    assert lines[0] == "measuring 4 cells in 2 groups, 8 calls: runs/demo.sqlite"
    assert "starting transformers with demo" in lines
    assert "transformers is up after 2.5 s on cpu, float32" in lines
    assert "vllm with demo failed (crash): killed by signal 9" in lines
    assert "256-token prompts: 0 units, done: precision reached" in lines
    assert "\x1b" not in out.getvalue()


def test_a_log_tells_how_far_it_is_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_LINE_S", 0.0)
    out = io.StringIO()
    run(Console(file=out, width=80, force_terminal=False))
    told = [line for line in out.getvalue().splitlines() if "±3.1 %" in line]
    assert "2 of 8 calls · 1 failed, 1 flagged · 1 min 11 s left | 64-token prompts: 12 units, ±3.1 %" in told[0]


def test_a_terminal_shows_units_precision_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_REDRAW_S", 0.0)
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    shown = run(console)
    assert "1 min 11 s left" in out.getvalue()
    with console.capture() as captured:
        console.print(shown._picture())
    picture = captured.get()
    assert "2 of 8 calls" in picture
    assert "12 units" in picture
    assert "±3.1 %" in picture
    assert "done: precision reached" in picture


def test_an_unknown_number_of_calls_needs_no_bar() -> None:
    out = io.StringIO()
    with Progress(Console(file=out, width=100, force_terminal=True, color_system=None)) as shown:
        shown.planned(Path("x.sqlite"), [cell(0, 64)], None)
        shown.trial_done(cell(0, 64), trial())
    assert "━" not in out.getvalue()


def test_the_display_is_left_even_when_the_run_breaks() -> None:
    out = io.StringIO()

    def breaks() -> None:
        with Progress(Console(file=out, width=80, force_terminal=True)):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaks()
    assert out.getvalue().count("\x1b[?25l") == out.getvalue().count("\x1b[?25h") == 1, "the cursor is shown again"
