"""Every broken engine is caught by the check named for it, and healthy ones by none: a hundred seeded runs of each.

The slowest test of the project: some minutes on two cores. `pytest -m "not suite"` leaves it out.
"""

import pytest
from support.broken import page
from support.broken.catalogue import EVERY, Entry
from support.broken.suite import Counted, measured

from results.sampling import MIN_TOKENS

pytestmark = [pytest.mark.model, pytest.mark.suite, pytest.mark.timeout(3600)]

BROKEN = [entry for entry in EVERY if entry.caught_by is not None]
HEALTHY = [entry for entry in EVERY if entry.caught_by is None]
CAUGHT, FLAGGED = 0.95, 0.01


@pytest.fixture(scope="module")
def found() -> dict[str, Counted]:
    return measured()


@pytest.mark.parametrize("entry", BROKEN, ids=lambda entry: entry.name)
def test_a_broken_engine_is_caught_by_the_check_named_for_it(entry: Entry, found: dict[str, Counted]) -> None:
    counted = found[entry.name]
    assert counted.flagged[str(entry.caught_by)] >= CAUGHT * counted.runs


@pytest.mark.parametrize("entry", HEALTHY, ids=lambda entry: entry.name)
def test_a_healthy_engine_is_flagged_by_nothing_and_certified(entry: Entry, found: dict[str, Counted]) -> None:
    counted = found[entry.name]
    assert counted.caught <= FLAGGED * counted.runs
    assert counted.certified >= (1 - FLAGGED) * counted.runs


def test_at_least_300_tokens_are_tested_above_temperature_0(found: dict[str, Counted]) -> None:
    assert min(counted.tested for counted in found.values() if counted.entry.temperature > 0) >= 300 == MIN_TOKENS


def test_the_committed_table_is_what_was_found(found: dict[str, Counted]) -> None:
    assert _words(page.committed()) == _words(page.section(found))
    for written, now in zip(_figures(page.committed()), _figures(page.section(found)), strict=True):
        assert abs(written - now) <= 2  # on another processor rounding turns a token of a draw here and there


def _cells(section: str) -> list[str]:
    return [cell.strip(" *").replace("·", "0") for line in section.splitlines() for cell in line.split("|")]


def _words(section: str) -> list[str]:
    return [cell for cell in _cells(section) if not cell.isdigit()]


def _figures(section: str) -> list[int]:
    return [int(cell) for cell in _cells(section) if cell.isdigit()]
