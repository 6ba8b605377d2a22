"""Statements that need several cells: the gain over batches, the cost of a wider verification, the best length."""

from typing import Any

import pytest
from support.certificates import equivalence
from support.statements import checked, measured, run_of
from support.verdicts import speedup

from results.expected import StepCosts, Widening
from results.statements.claims import Checked
from results.statements.ruling import Outcome


def test_the_gain_over_batches_compares_cells_that_differ_in_nothing_else() -> None:
    def outcome(gain: float, **changes: Any) -> Checked:
        wide = measured(1.0, 2.0, group=1, batch_size=16, speedup=speedup(4, gain, 5), **changes)
        cells = [measured(1.0, 2.0, speedup=speedup(4, 1.0, 4)), wide]
        statement = {"metric": "gain at the largest batch over batch 1", "high": 1}
        return checked(run_of(*cells), statement, batch=None)

    assert outcome(0.6).outcome == "reproduced"
    assert outcome(1.5).outcome == "not reproduced"
    assert outcome(1.0).outcome == "not comparable"
    assert outcome(0.6, dtype="float16").why == "nothing that bears on it was measured"


def test_a_draft_length_whose_figures_do_not_count_hides_no_other() -> None:
    def outcome(*unusable: int) -> Checked:
        odd = {k: equivalence(unexplained=1) if k in unusable else None for k in (2, 4)}
        alone = [measured(1.0, 2.0, k=k, speedup=speedup(k, 1.0, k)) for k in odd]
        wide = [measured(1.0, 2.0, k=k, group=1, batch_size=16, speedup=speedup(k, 0.6, k), equivalence=odd[k])
                for k in odd]  # fmt: skip
        statement = {"metric": "gain at the largest batch over batch 1", "high": 1}
        return checked(run_of(*alone, *wide), statement, batch=None, draft_length=None)

    assert [outcome().found[0].draft_length, outcome(4).found[0].draft_length] == [4, 2]
    assert outcome(4).outcome == "reproduced"
    assert outcome(2, 4).outcome == "not comparable" and "not the target's own" in outcome(2, 4).why


def test_draft_lengths_are_compared_within_a_method() -> None:
    scales = (("mtp", 1, 1.0), ("mtp", 4, 1.2), ("ngram", 1, 1.0), ("ngram", 4, 0.5))
    cells = [measured(1.0, 2.0, k=k, method=how, speedup=speedup(k, scale, seed=k)) for how, k, scale in scales]
    statement = {"metric": "best draft length", "low": 4, "high": 4}
    found = checked(run_of(*cells), statement, pairs=(), draft_length=None)
    assert {one.method: (one.draft_length, one.outcome, one.candidates) for one in found.found} == {
        "mtp": (4, "reproduced", 2),
        "ngram": (1, "not reproduced", 2),
    }


def test_a_recommended_draft_length_is_beaten_only_by_a_paired_interval() -> None:
    def outcome(low: int, high: int, *scales: tuple[int, float]) -> Checked:
        cells = [measured(1.0, 2.0, k=k, speedup=speedup(k, scale, seed=k)) for k, scale in scales]
        statement = {"metric": "best draft length", "low": low, "high": high}
        return checked(run_of(*cells), statement, draft_length=None)

    assert outcome(4, 4, (1, 1.0), (4, 1.2)).outcome == "reproduced"
    assert outcome(1, 1, (1, 1.0), (4, 1.2)).outcome == "not reproduced"
    assert "not distinguishable" in outcome(6, 6, (5, 1.0), (6, 1.0)).why
    assert "not measured" in outcome(4, 4, (4, 1.2)).why
    assert "not measured" in outcome(8, 8, (4, 1.2)).why


@pytest.mark.parametrize(
    ("low", "high", "experts", "outcome", "why"),
    [
        (1.2, 1.4, 3.5, "reproduced", "a verification read 3.50 times the experts of a plain pass"),
        (0.9, 0.98, 3.5, "not reproduced", "below what was published; a verification read 3.50"),
        (0.95, 1.3, 3.5, "not comparable", "too imprecise"),
        (1.2, 1.4, None, "not comparable", "how many experts the passes read is not revealed"),
        (1.2, 1.4, 1.0, "not reproduced", "but a verification read 1.00 times the experts"),
        (None, None, 3.5, "not comparable", "too few units"),
    ],
)
def test_a_wider_verification_costs_time_because_it_reads_more_experts(
    low: float | None, high: float | None, experts: float | None, outcome: Outcome, why: str
) -> None:
    wider = Widening(1.3, low, high, 12, experts)
    one = measured(3.0, 3.2, costs=StepCosts(6.6, 0.45, 8.6, 0.55, 1.1, 1.0, wider))
    found = checked(run_of(one), {"metric": "cost of a wider verification", "low": 1})
    assert found.outcome == outcome and why in found.why
    assert found.found[0].point == 1.3


def test_passes_that_were_not_timed_say_nothing_of_a_wider_verification() -> None:
    found = checked(run_of(measured(3.0, 3.2)), {"metric": "cost of a wider verification", "low": 1})
    assert found.outcome == "not comparable" and not found.found
