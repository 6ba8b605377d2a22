"""The sampling certificate: its tests against scipy and by hand, and whole certificates from run files.

Tokens 0 to 3 have probabilities 1/2, 1/4, 1/8, 1/8: in bits, surprisals 1, 2, 3, 3, an entropy of 1.75 and a variance
of 1/2 + 1 + 9/4 - 49/16 = 11/16.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from support import fake_run, scored
from support.fake_run import Call, World
from support.scored import Scorer, Spoil

from results import goodness, sampling
from results.certificate import DistributionTest, SamplingCertificate
from results.draws import Draws
from results.records import BIASED, PLAIN, Failure, Generation, Prompt, TokenScore

P = np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8])
BIT = math.log(2)
H, VAR = 1.75 * BIT, 11 / 16 * BIT**2
ABOVE = (0.0, 0.5, 0.75, 0.875)


def draws(tokens: Sequence[int]) -> Draws:
    n = len(tokens)
    log_p = np.array([math.log(P[token]) if token < 4 else -math.inf for token in tokens])
    above = np.array([ABOVE[token] if token < 4 else 1.0 for token in tokens])
    return Draws(log_p, np.full(n, -BIT), np.full(n, H), np.full(n, VAR), above)


# ------------------------------------------------------------------------------------------------------- surprisal


def test_z_is_the_sum_of_log_p_and_entropy_over_its_standard_deviation() -> None:
    # Surprisals of 1 + 1 + 2 + 3 = 7 bits where 4 * 1.75 are expected.
    told = goodness.surprisal(draws([0, 0, 1, 2]))
    assert told is not None
    assert told[0] == pytest.approx(0.0, abs=1e-12)
    told = goodness.surprisal(draws([0] * 16))  # 16 * 0.75 bits too probable
    assert told is not None
    assert told[0] == pytest.approx(12 / math.sqrt(16 * 11 / 16))


def test_the_third_moment_is_exact_where_all_but_the_favourite_are_alike() -> None:
    for p in ([0.9, 0.1], [0.5, 0.5], [0.97, *[0.03 / 40] * 40]):
        surprisal = -np.log(p)
        h = p @ surprisal
        var, third = p @ (surprisal - h) ** 2, p @ (surprisal - h) ** 3
        told = goodness.third_moment(Draws(*(np.array([v]) for v in (math.log(p[0]), math.log(p[0]), h, var, 0.0))))
        assert told[0] == pytest.approx(third, abs=1e-9)


def test_the_third_moment_assumes_no_more_than_the_skewness_of_the_tail() -> None:
    # Of tokens 1 to 3 the surprisals are 2 or 3 bits, evenly: a variance of 1/4 and no skewness, where 1 is assumed.
    surprisal = -np.log(P)
    exact = P @ (surprisal - H) ** 3
    assert goodness.third_moment(draws([0]))[0] == pytest.approx(exact + 1 / 2 * (1 / 4) ** 1.5 * BIT**3)


def test_p_is_that_of_pearson_s_type_iii_law() -> None:
    third = float(goodness.third_moment(draws([0]))[0])
    for tokens in ([0] * 30 + [3] * 30, [0] * 40 + [1] * 10, [0, 1, 2, 3] * 10):
        told = goodness.surprisal(draws(tokens))
        assert told is not None
        law = stats.pearson3(third * len(tokens) / (VAR * len(tokens)) ** 1.5)
        assert told[1] == pytest.approx(min(1.0, 2 * min(law.sf(-told[0]), law.cdf(-told[0]))), rel=1e-6)


def test_where_rare_tokens_are_what_matters_p_is_nearly_that_of_counting_them() -> None:
    # 400 tokens that are certain but for one in 100: x of the others are a binomial count.
    p, n = 0.01, 400
    log_p = np.log([1 - p, p])
    h = -(log_p[0] * (1 - p) + log_p[1] * p)
    var = p * (1 - p) * (log_p[0] - log_p[1]) ** 2
    for x in (0, 10, 14):
        which = np.array([0] * (n - x) + [1] * x)
        told = goodness.surprisal(
            Draws(log_p[which], np.full(n, log_p[0]), np.full(n, h), np.full(n, var), np.where(which, 1 - p, 0.0))
        )
        assert told is not None
        exact = 2 * min(
            stats.binom.cdf(x, n, p) - stats.binom.pmf(x, n, p) / 2,
            stats.binom.sf(x, n, p) + stats.binom.pmf(x, n, p) / 2,
        )
        assert told[1] == pytest.approx(exact, rel=0.5)
        assert x == 0 or told[1] > 3 * 2 * stats.norm.sf(abs(told[0]))


def test_without_chance_there_is_no_surprisal() -> None:
    nothing = np.zeros(200)
    assert goodness.surprisal(Draws(nothing, nothing, nothing, nothing, nothing)) is None


# ------------------------------------------------------------------------------------- uniformity, truncation, Holm


def test_the_transform_of_a_token_lies_in_its_own_interval_and_fills_it_evenly() -> None:
    tokens = [0, 1, 2, 3] * 500
    u = goodness.transformed(draws(tokens))
    for token in range(4):
        own = (u[np.array(tokens) == token] - ABOVE[token]) / P[token]
        assert own.min() >= 0 and own.max() <= 1
        assert stats.kstest(own, "uniform").pvalue > 0.001


def test_uniformity_is_scipy_s_chi_square() -> None:
    found = draws([0] * 200 + [1] * 50 + [2] * 100 + [3] * 50)
    told = goodness.uniformity(found)
    counts = np.histogram(goodness.transformed(found), bins=goodness.BINS, range=(0, 1))[0]
    expected = stats.chisquare(counts)
    assert told == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert goodness.uniformity(draws([0] * 99)) is None


def test_certain_tokens_are_uniform_whatever_their_number() -> None:
    for n in range(100, 400):
        nothing = np.zeros(n)
        told = goodness.uniformity(Draws(nothing, nothing, nothing, nothing, nothing))
        assert told is not None
        assert told[1] > 0.5


@pytest.mark.parametrize(
    "table", [(3, 100, 0, 100), (1, 50, 4, 300), (0, 10, 0, 10), (40, 1000, 10, 900), (5, 5, 0, 7)]
)
def test_truncation_is_fisher_s_exact_test(table: tuple[int, int, int, int]) -> None:
    here, n, there, of = table
    expected = stats.fisher_exact([[here, n - here], [there, of - there]], alternative="greater").pvalue
    assert goodness.fisher(*table) == pytest.approx(expected, rel=1e-6)


def test_holm_by_hand() -> None:
    made = [DistributionTest("surprisal", "plain", "all positions", 1, 0.0, p, 1.0) for p in (0.04, 0.01, 0.03, 0.9)]
    told = {test.p: test.adjusted for test in goodness.holm(made)}
    assert told == {0.01: 0.04, 0.03: pytest.approx(0.09), 0.04: pytest.approx(0.09), 0.9: 0.9}


def test_the_detectable_bias_by_hand() -> None:
    # z shifts by e sqrt(n) (H - 1 bit) / sqrt(Var), e (1 - 1/2) from p; level .001 / 4, two-sided.
    needed = stats.norm.isf(0.001 / 8) + stats.norm.ppf(0.8)
    e = needed * math.sqrt(11 / 16) / (0.75 * math.sqrt(1000))
    assert goodness.detectable(draws([0] * 1000), 4) == pytest.approx(e / 2)
    assert goodness.detectable(draws([0] * 20), 4) is None  # not even a sampler that always takes the favourite


# ------------------------------------------------------------------------------------------------ from run files

ID = 10
"""Of token 0 in the file: 1 is the end-of-sequence token."""
WORLD = World(lengths=(2,), units=8, temperature=1.0)
"""Every arm draws 8 prompts x 3 calls x 40 tokens after the prefill's; a third of them instrumented."""


def drawing(p: Sequence[float] = tuple(P), plain: Sequence[float] = tuple(P)) -> Spoil:
    """Drafting draws from p, plain decoding from `plain`, a biased arm always takes the favourite."""
    rng = np.random.default_rng(5)

    def spoil(call: Call, seen: Generation) -> Generation:
        if call.cell.role == BIASED:
            return scored.with_tokens(seen, (ID + 3, *[ID] * (seen.n_tokens - 1)))
        law = p if call.k else plain
        drawn = (ID + rng.choice(len(law), seen.n_tokens - 1, p=law)).tolist()
        return scored.with_tokens(seen, (ID + 3, *drawn))  # the prefill's token, which is not to count

    return spoil


def known(prompt: Prompt, position: int, token: int) -> TokenScore:
    one = draws([token - ID])
    return TokenScore(position, token, ID, 0.0, 0.0, float(one.log_p[0]), -BIT, H, VAR, float(one.above[0]))


def certified(path: Path, world: World, scorer: Scorer = known) -> SamplingCertificate:
    found = scored.judged(scored.write(path / "run.sqlite", world, scorer)).sampling
    assert found is not None
    return found


def test_draws_from_the_target_s_distribution_are_not_distinguishable(tmp_path: Path) -> None:
    told = certified(tmp_path, replace(WORLD, spoil=drawing(), more=(BIASED,)))
    assert (told.verdict, told.reason, told.level) == ("not distinguishable", "", 0.001)
    assert (told.n, told.draws, told.impossible) == (8 * 3 * 40, 8 * 3, 0)
    assert (told.negative_control, told.positive_control, told.positive_temperature) == (True, True, 0.75)
    places = {(test.arm, test.where): test.tokens for test in told.tests}
    # Two calls of each prompt are timed and reveal no rounds. Of the 320 tokens of the third, 58 are bonuses (see
    # below), too few to be tested by themselves.
    assert places[("speculative", "all positions")] == 640
    assert places[("speculative", "draft positions")] == 320 - 58
    assert ("speculative", "bonus positions") not in places
    assert places[("plain", "all positions")] == places[("biased", "all positions")] == 960
    assert told.p == min(test.adjusted for test in told.tests if test.arm == "speculative")
    spoken = draws([0] * 640)
    assert told.power_at == pytest.approx(goodness.detectable(spoken, 4))


def test_bonus_tokens_are_those_after_a_fully_accepted_draft(tmp_path: Path) -> None:
    # At k = 2, the rounds of `World.pattern` accept 2 0 2 1 1 drafts and emit 3 1 3 2 2 tokens: the third of a 3 is a
    # bonus. 40 tokens are 3 turns of 11, which have 6 bonuses, and 7 tokens more: 3 1 3 with two bonuses in unit 0;
    # 1 3 2 and a cut round, 3 2 2, 2 2 3, 2 3 1 and a cut round with one each in units 1 to 4; and so on.
    plainly = drawing()

    def spoil(call: Call, seen: Generation) -> Generation | Failure:
        ids = [ID] * seen.n_tokens
        emitted = seen.n_prefill
        for each in seen.rounds or ():
            emitted += each.emitted
            if each.emitted == 3:
                ids[emitted - 1] = ID + 1
        return scored.with_tokens(seen, tuple(ids)) if call.k else plainly(call, seen)

    told = certified(tmp_path, replace(WORLD, units=15, spoil=spoil))
    places = {test.where: test for test in told.tests if (test.arm, test.name) == ("speculative", "surprisal")}
    bonus = places["bonus positions"]
    # All of them are token 1, of 2 bits where 1.75 are expected, and all others token 0, of 1 bit.
    assert bonus.statistic == pytest.approx(-0.25 * bonus.tokens / math.sqrt(bonus.tokens * 11 / 16))
    drafts = places["draft positions"]
    assert drafts.statistic == pytest.approx(0.75 * drafts.tokens / math.sqrt(drafts.tokens * 11 / 16))
    assert (bonus.tokens, drafts.tokens) == (3 * (8 + 4 * 7), 3 * (5 * 40 - 36))


def test_a_sampler_that_prefers_the_favourite_is_biased(tmp_path: Path) -> None:
    told = certified(tmp_path, replace(WORLD, spoil=drawing((0.65, 0.2, 0.1, 0.05))))
    assert told.verdict == "biased"
    assert told.reason.startswith("tokens at all positions are too probable under the target (z = +")
    assert told.p is not None and told.p < 0.001


def test_a_bias_that_leaves_the_mean_surprisal_alone_is_found_by_uniformity(tmp_path: Path) -> None:
    # Tokens 2 and 3 are equally probable: no surprisal tells them apart.
    told = certified(tmp_path, replace(WORLD, spoil=drawing((0.5, 0.25, 0.25, 0.0))))
    assert told.verdict == "biased"
    assert told.reason.startswith("tokens at all positions do not follow the target's distribution (chi-square ")


def test_tokens_that_truncation_excludes_are_counted_and_set_against_the_plain_arm_s(tmp_path: Path) -> None:
    told = certified(tmp_path, replace(WORLD, spoil=drawing((*(P * 0.98), 0.02))))
    assert told.verdict == "biased"
    assert told.impossible > 5
    assert "of the tokens at all positions are ones that truncation excludes" in told.reason


def test_numerics_at_the_edge_of_truncation_are_no_bias_where_plain_decoding_has_them_too(tmp_path: Path) -> None:
    both = (*(P * 0.98), 0.02)
    told = certified(tmp_path, replace(WORLD, spoil=drawing(both, both)))
    assert (told.verdict, told.impossible > 5) == ("not distinguishable", True)


def test_a_target_whose_own_draws_fail_makes_no_verdict(tmp_path: Path) -> None:
    leaning = (0.65, 0.2, 0.1, 0.05)
    told = certified(tmp_path, replace(WORLD, spoil=drawing(leaning, leaning)))
    assert (told.verdict, told.negative_control) == ("untested", False)
    assert told.reason.startswith("the target's own draws fail the same test")


def test_a_positive_control_that_is_not_caught_makes_no_verdict(tmp_path: Path) -> None:
    def spoil(call: Call, seen: Generation) -> Generation | Failure:
        healthy = replace(call, cell=replace(call.cell, role=PLAIN)) if call.cell.role == BIASED else call
        return law(healthy, seen)

    law = drawing()
    told = certified(tmp_path, replace(WORLD, spoil=spoil, more=(BIASED,)))
    assert (told.verdict, told.positive_control) == ("untested", False)
    assert told.reason == "the known-biased sampler was not caught: too few tokens to tell"


def test_too_few_tokens_make_no_verdict_however_odd(tmp_path: Path) -> None:
    told = certified(tmp_path, replace(WORLD, units=2, spoil=drawing((0.97, 0.01, 0.01, 0.01))))
    assert (told.verdict, told.n) == ("untested", 240)
    assert told.reason == "240 tokens of rounds were drawn: at least 300 are needed to conclude"


def test_where_nothing_is_left_to_chance_nothing_is_concluded(tmp_path: Path) -> None:
    def certain(prompt: Prompt, position: int, token: int) -> TokenScore:
        return TokenScore(position, token, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    told = certified(tmp_path, replace(WORLD, spoil=drawing((1.0,), (1.0,))), certain)
    assert (told.verdict, told.power_at) == ("untested", None)
    assert told.reason == "the draws left too little to chance for a bias to show"


def test_tokens_after_the_natural_end_do_not_count(tmp_path: Path) -> None:
    law = drawing()

    def ending(call: Call, seen: Generation) -> Generation | Failure:
        found = law(call, seen)
        assert isinstance(found, Generation)
        ids = found.token_ids or ()
        return scored.with_tokens(found, (*ids[:21], fake_run.EOS, *[ID] * (found.n_tokens - 22)))

    def ended(prompt: Prompt, position: int, token: int) -> TokenScore:
        return replace(known(prompt, position, ID if token == fake_run.EOS else token), token_id=token)

    told = certified(tmp_path, replace(WORLD, spoil=ending), ended)
    assert told.n == 8 * 3 * 21  # 20, and the end itself


@pytest.mark.parametrize(
    "nonsense",
    [
        {"logprob": None},
        {"logprob": 0.5},
        {"logprob": -1e300},
        {"best_logprob": None},
        {"best_logprob": 3.0},
        {"best_logprob": -math.inf},
        {"entropy": math.inf},
        {"entropy": -1.0},
        {"variance": None},
        {"variance": -0.5},
        {"variance": 1e300},
        {"mass_above": None},
        {"mass_above": 1.5},
        {"mass_above": -math.inf},
    ],
)
def test_numbers_that_no_distribution_has_count_as_not_scored(
    tmp_path: Path, nonsense: dict[str, float | None]
) -> None:
    def score(prompt: Prompt, position: int, token: int) -> TokenScore:
        told = known(prompt, position, token)
        return replace(told, **nonsense) if prompt.key == "code/0.0" else told

    told = certified(tmp_path, replace(WORLD, spoil=drawing()), score)
    assert (told.verdict, told.n, told.impossible) == ("not distinguishable", 7 * 3 * 40, 0)


# ------------------------------------------------------------------------------------------------ without scores


def without_scores(path: Path, world: World) -> SamplingCertificate:
    found = scored.judged(fake_run.write(path / "run.sqlite", world)).sampling
    assert found is not None
    return found


def test_without_scores_draws_are_set_against_plain_decoding_s(tmp_path: Path) -> None:
    told = without_scores(tmp_path, replace(WORLD, repeats=2, spoil=drawing(), more=(BIASED,)))
    assert (told.verdict, told.negative_control, told.positive_control) == ("not distinguishable", True, True)
    (test,) = [test for test in told.tests if test.arm == "speculative"]
    assert (test.name, test.tokens, test.p, test.adjusted) == ("permutation", told.n, told.p, told.p)
    assert told.power_at is None


def test_without_scores_a_biased_sampler_is_told_from_plain_decoding(tmp_path: Path) -> None:
    leaning = drawing((0.97, 0.01, 0.01, 0.01))
    told = without_scores(tmp_path, replace(WORLD, repeats=2, spoil=leaning, more=(BIASED,)))
    assert (told.verdict, told.p) == ("biased", pytest.approx(1 / 5000))
    assert told.reason == "tokens after equal prefixes are not those of the plain arm, p = 0.0002"


def test_without_scores_and_a_positive_control_nothing_is_concluded(tmp_path: Path) -> None:
    told = without_scores(tmp_path, replace(WORLD, spoil=drawing()))
    assert told.verdict == "untested"
    assert told.reason == "no scores and no positive control: what so few draws could tell is not known"


def test_without_scores_and_equal_beginnings_nothing_is_concluded(tmp_path: Path) -> None:
    def apart(call: Call, seen: Generation) -> Generation:
        return scored.with_tokens(seen, (ID + call.k, *[ID] * (seen.n_tokens - 1)))

    told = without_scores(tmp_path, replace(WORLD, spoil=apart))
    assert (told.verdict, told.n, told.tests[0].arm) == ("untested", 0, "plain")
    assert told.reason == "no scores, and no two draws of both arms begin alike: draw more per prompt"


def test_a_cell_that_gave_nothing_has_no_sampling_certificate(tmp_path: Path) -> None:
    world = replace(WORLD, spoil=lambda call, seen: Failure("crash", "gone") if call.k else seen)
    assert scored.judged(fake_run.write(tmp_path / "run.sqlite", world)).sampling is None


def test_a_part_below_its_least_size_is_not_tested_by_itself() -> None:
    few, many = draws([0] * 50 + [3] * 49), draws([0, 0, 1, 2] * 100)
    told = sampling.judged({"bonus positions": few, "draft positions": many}, many, None)
    assert {test.where for test in told.tests if test.arm == "speculative"} == {"draft positions"}
    assert told.n == 499
