"""Faults in the reference engine are caught by the certificate, and the engine as it is passes in the same runs."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.broken import reference, reference_runs
from support.broken.reference import Fault
from support.broken.reference_runs import Asked, Opened

pytestmark = pytest.mark.model

ALONE, BATCH = Asked(1), Asked(4)
DRAWN = Asked(4, temperature=1.0)
DRAWN_BOTH = Asked(4, temperature=1.0, drafts="sampled")

HEALTHY = [
    ALONE, BATCH, Asked(1, narrow=True), Asked(4, narrow=True), Asked(1, temperature=1.0), DRAWN, DRAWN_BOTH,
]  # fmt: skip
OF_ONE_ROW = [
    reference.one_draft_too_many,
    reference.token_from_the_next_position,
    reference.rejected_keys_stay,
    reference.positions_off_by_one,
]
OF_A_BATCH = [reference.first_row_s_count_for_all, reference.joining_prefill_lost, reference.row_not_cleared]
CAUGHT_BY = [
    *(("unexplained", asked, fault) for asked in (ALONE, BATCH) for fault in OF_ONE_ROW),
    *(("unexplained", BATCH, fault) for fault in OF_A_BATCH),
    *(("unexplained", Asked(batch, narrow=True), reference.window_too_wide) for batch in (1, 4)),
    ("biased", DRAWN, reference.draft_may_be_drawn_again),
    ("biased", DRAWN_BOTH, reference.kept_with_p),
    ("biased", Asked(1, temperature=1.0), reference.another_temperature),
    ("biased", DRAWN, reference.another_temperature),
]


@pytest.fixture(scope="module")
def sessions() -> Iterator[Opened]:
    with reference_runs.opened() as opened:
        yield opened


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reference_runs.write_texts(tmp_path_factory.mktemp("texts"))


@pytest.mark.parametrize("asked", HEALTHY, ids=str)
def test_the_healthy_engine_is_certified_and_flagged_by_nothing(
    sessions: Opened, texts: Path, tmp_path: Path, asked: Asked
) -> None:
    found = reference_runs.run(sessions, reference.healthy, asked, texts, tmp_path / "run.sqlite")
    assert found.flags == frozenset()
    assert found.certified


@pytest.mark.parametrize(
    ("check", "asked", "fault"), CAUGHT_BY, ids=[f"{fault.__name__}-{asked}" for _, asked, fault in CAUGHT_BY]
)
def test_a_fault_is_caught_by_the_check_named_for_it(
    sessions: Opened, texts: Path, tmp_path: Path, check: str, asked: Asked, fault: Fault
) -> None:
    found = reference_runs.run(sessions, fault, asked, texts, tmp_path / "run.sqlite")
    assert found.flags == {check}
    assert not found.certified
