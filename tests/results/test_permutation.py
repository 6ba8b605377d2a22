"""The permutation test: its statistic against scipy, its strata, its level and its power."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from support import fake_run, scored
from support.fake_run import Call, World

from results import permutation
from results.arm import Arm
from results.evidence import Evidence
from results.records import CONTROL, PLAIN, Generation
from results.runfile import RunFile

Drawer = dict[str, np.ndarray]
EVEN = np.array([0.5, 0.3, 0.2])
LEANING = np.array([0.95, 0.03, 0.02])


def arms(path: Path, spoil: scored.Spoil, **world: object) -> tuple[Arm, Arm]:
    """(control, plain) of a run whose calls `spoil` changes: three calls of each for every prompt and repeat."""
    fake_run.write(path, World(lengths=(), temperature=1.0, spoil=spoil, **world))  # type: ignore[arg-type]
    with RunFile.open(path) as file:
        evidence = Evidence.of(file)
    roles = {cell.role: Arm(evidence, cell_id) for cell_id, cell in evidence.cells.items()}
    return roles[CONTROL], roles[PLAIN]


def drawn(p: Drawer, *, first: int = 1, seed: int = 0) -> scored.Spoil:
    """Tokens drawn from p of the arm; the prefill's from the first `first` tokens, evenly."""
    rng = np.random.default_rng(seed)

    def spoil(call: Call, seen: Generation) -> Generation:
        rest = rng.choice(3, seen.n_tokens - 1, p=p[call.cell.role])
        return scored.with_tokens(seen, (int(rng.integers(first)), *rest.tolist()))

    return spoil


def test_at_one_token_the_statistic_is_the_two_sample_chi_square(tmp_path: Path) -> None:
    # One prompt, and after the prefill's token 0 three draws of each arm: 1 1 2 against 1 2 2. As the prefill's token
    # is the same, so are all beginnings.
    given = {CONTROL: iter((1, 1, 2)), PLAIN: iter((1, 2, 2))}

    def spoil(call: Call, seen: Generation) -> Generation:
        token = 9 if call.phase == "warmup" else next(given[call.cell.role])
        return scored.with_tokens(seen, (0, token))

    outcome = permutation.test(*arms(tmp_path / "run.sqlite", spoil, units=1))
    assert outcome is not None
    expected = stats.chi2_contingency([[2, 1], [1, 2]], correction=False).statistic
    assert (outcome.statistic, outcome.tokens) == (pytest.approx(expected), 3)
    # However three 1s and three 2s are dealt into two halves, they are no closer: 2 to 1, or 3 to 0.
    assert outcome.p == 1.0


def test_every_text_that_both_arms_drew_adds_its_chi_square(tmp_path: Path) -> None:
    given = {CONTROL: iter(((1, 5), (1, 6), (2, 5))), PLAIN: iter(((1, 5), (2, 6), (2, 5)))}

    def spoil(call: Call, seen: Generation) -> Generation:
        return scored.with_tokens(seen, (0, *((9,) if call.phase == "warmup" else next(given[call.cell.role]))))

    outcome = permutation.test(*arms(tmp_path / "run.sqlite", spoil, units=1))
    assert outcome is not None
    tables = ([[2, 1], [1, 2]], [[1, 1], [1, 0]], [[1, 0], [1, 1]])  # after 0, after 0 1, after 0 2
    expected = sum(stats.chi2_contingency(table, correction=False).statistic for table in tables)
    assert (outcome.statistic, outcome.tokens) == (pytest.approx(expected), 6)


def test_only_equal_beginnings_are_compared(tmp_path: Path) -> None:
    # The control's prefill gives 0, plain decoding's 1: no text is shared, whatever follows.
    def spoil(call: Call, seen: Generation) -> Generation:
        return scored.with_tokens(seen, (int(call.cell.role == PLAIN), 5, 6))

    assert permutation.test(*arms(tmp_path / "run.sqlite", spoil, units=3)) is None


def test_prompts_that_differ_between_arms_in_their_draws_are_no_bias(tmp_path: Path) -> None:
    # Each prompt always gives a token of its own: labels may only be dealt anew within a prompt.
    def spoil(call: Call, seen: Generation) -> Generation:
        return scored.with_tokens(seen, (0, call.unit))

    outcome = permutation.test(*arms(tmp_path / "run.sqlite", spoil, units=6))
    assert outcome is not None
    assert (outcome.statistic, outcome.p) == (0.0, 1.0)


def test_texts_have_no_tokens_to_compare(tmp_path: Path) -> None:
    def spoil(call: Call, seen: Generation) -> Generation:
        return fake_run.replace(seen, token_ids=None, text="text")

    assert permutation.test(*arms(tmp_path / "run.sqlite", spoil, units=2)) is None


def test_equal_samplers_are_called_different_as_seldom_as_the_level_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permutation, "PERMUTATIONS", 199)
    ps, runs = [], 50
    for run in range(runs):
        same = drawn({CONTROL: EVEN, PLAIN: EVEN}, first=2, seed=run)
        outcome = permutation.test(*arms(tmp_path / f"{run}.sqlite", same, units=3, output_tokens=4))
        assert outcome is not None
        ps.append(outcome.p)
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(ps) <= level) <= level + 3 * np.sqrt(level * (1 - level) / runs)
    assert np.mean(np.array(ps) <= 0.5) >= 0.2  # nor are its p values merely large


def test_a_sampler_that_leans_is_told_from_plain_decoding(tmp_path: Path) -> None:
    differ = drawn({CONTROL: LEANING, PLAIN: EVEN})
    outcome = permutation.test(*arms(tmp_path / "run.sqlite", differ, units=12, repeats=2, output_tokens=6))
    assert outcome is not None
    assert outcome.p <= 0.001
