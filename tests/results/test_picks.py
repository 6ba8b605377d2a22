"""The best of all that a recommendation names first, what it was chosen from, and what must be known beside it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_run import Call, World, write
from support.paced import paced

from results.choosing.recommend import recommend
from results.choosing.wishes import Wishes
from results.errors import UsageError
from results.judge import Judged, judged
from results.origin import twins
from results.remarks import DEMO_NOTE
from results.runfile import RunFile

OPEN = ExitStack()
WHY = {"fake": "It measures."}


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    with OPEN:
        yield


def opened(path: Path) -> Judged:
    return judged(OPEN.enter_context(RunFile.open(path)))


def run(folder: Path, *worlds: World, name: str = "run") -> Judged:
    return opened(write(folder / f"{name}.sqlite", *worlds))


def renamed(found: Judged, **changes: Any) -> Judged:
    """The same run, its last group of another runtime, pair, dtype ..."""
    last = found.verdict.cells[-1].group
    cells = [replace(c, **changes) if c.group == last else c for c in found.verdict.cells]
    return replace(found, verdict=replace(found.verdict, cells=cells))


# ----------------------------------------------------------------------------------------------------------- the best


def test_a_runtime_that_nobody_deploys_with_is_not_the_best_where_there_is_another(tmp_path: Path) -> None:
    found = renamed(run(tmp_path, paced({4: 2.0}), paced({1: 1.3})), backend="server")
    (pick,) = recommend([found], Wishes()).picks
    assert (pick.place.backend, pick.among, pick.left_out) == ("fake", 2, ())
    (pick,) = recommend([found], Wishes(), WHY).picks
    assert (pick.place.backend, pick.among, pick.runtimes) == ("server", 1, 1)
    assert (pick.left_out, pick.not_deployed) == (("fake",), "")


def test_where_there_is_no_other_it_is_named_with_why(tmp_path: Path) -> None:
    (pick,) = recommend([run(tmp_path, paced())], Wishes(), WHY).picks
    assert (pick.place.backend, pick.not_deployed, pick.left_out) == ("fake", "It measures.", ())


def test_what_differs_is_counted(tmp_path: Path) -> None:
    found = [
        run(tmp_path, paced(), paced(batch_size=2), name="a"),
        renamed(run(tmp_path, paced(), name="b"), backend="server", device="cuda"),
    ]
    (pick,) = recommend(found, Wishes()).picks
    assert (pick.among, pick.runtimes, pick.batch_sizes, pick.files) == (3, 2, 2, 2)
    assert pick.devices == ("cpu", "cuda")


# -------------------------------------------------------------------------------------------------------------- notes


def flagging(units: int) -> World:
    """Headline trials of the first units are flagged."""

    def flags(call: Call) -> tuple[str, ...]:
        return ("clock",) if call.unit < units and not call.k and not call.half and call.phase == "headline" else ()

    return paced(units=20, flags=flags)


def test_a_run_without_anything_to_say_has_no_notes(tmp_path: Path) -> None:
    assert recommend([run(tmp_path, flagging(0))], Wishes()).notes == ()


def test_flagged_trials_are_counted_however_few(tmp_path: Path) -> None:
    found = run(tmp_path, flagging(1))
    flagged, trials = (found.verdict.run[key] for key in ("trials_flagged", "trials"))
    assert 0 < flagged < 0.1 * trials
    assert found.verdict.warnings == []
    assert recommend([found], Wishes()).notes == (f"{flagged} of {trials} trials are flagged (clock {flagged})",)


def test_the_state_few_units_and_the_demo_pair_are_noted_with_the_file_where_there_are_several(tmp_path: Path) -> None:
    stopped = renamed(run(tmp_path, paced(state="interrupted"), name="stopped"), pair="demo")
    notes = (
        "the run is interrupted: figures are of what was measured until now",
        "fake demo, 8 prompt tokens: 8 units with a ratio: measure 20 or more before trusting the intervals",
    )
    assert recommend([stopped], Wishes()).notes == (*notes, DEMO_NOTE)
    name = stopped.verdict.run["file"]
    both = recommend([stopped, run(tmp_path, flagging(0), name="whole")], Wishes())
    assert both.notes == (*(f"{name}: {note}" for note in notes), DEMO_NOTE)


# -------------------------------------------------------------------------------------------------------------- twins


def test_a_run_does_not_count_twice(tmp_path: Path) -> None:
    def made(created: int, name: str) -> Judged:
        found = run(tmp_path, paced(), name=name)
        return replace(found, verdict=replace(found.verdict, run=found.verdict.run | {"created_unix_ns": created}))

    found, other, copy = made(1, "run"), made(2, "other"), made(1, "copy")
    facts = [one.verdict.run for one in (found, other, copy)]
    assert [*twins(facts)] == [(facts[0]["file"], facts[2]["file"])]
    for same in (copy, found):
        with pytest.raises(UsageError, match="hold the same run: it would count twice"):
            recommend([found, other, same], Wishes())
    assert len(recommend([found, other], Wishes()).choices) == 2
