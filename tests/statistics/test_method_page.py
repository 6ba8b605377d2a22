"""docs/method.md shows what the simulations give."""

import pytest

from tests.statistics.method_tables import TABLES, committed


def cells(text: str) -> list[tuple[str, list[str]]]:
    """(name, figures) of every row."""
    rows = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in text.splitlines()]
    return [(name, figures) for name, *figures in rows]


@pytest.mark.parametrize("name", TABLES)
def test_the_committed_table_is_what_the_simulation_gives(name: str) -> None:
    page, simulated = cells(committed(name)), cells(TABLES[name]())
    assert [row for row, _ in page] == [row for row, _ in simulated]
    assert page[:2] == simulated[:2]  # the head
    for (row, written), (_, found) in zip(page[2:], simulated[2:], strict=True):
        for committed_figure, figure in zip(written, found, strict=True):
            # On another processor a run of thousands may fall on the other side: the last digit may turn, no more.
            last_digit = 10.0 ** -len(figure.partition(".")[2])
            assert float(committed_figure) == pytest.approx(float(figure), abs=1.5 * last_digit), row
