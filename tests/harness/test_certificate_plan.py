"""What is planned for the losslessness certificate: controls, who is scored, and how many draws."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from backends.base import Capabilities
from harness.candidates import Candidate
from harness.order import block, visits
from harness.plan import DRAWS, Group, Plan
from harness.planner import BIASED_AT, check_size, make_plan
from harness.sweep import Sweep, load
from results.errors import UsageError
from results.records import BATCH_SHAPE, BIASED, CONTROL, INSTRUMENTED, PLAIN, SPECULATIVE, Pair, Role

ABLE = Capabilities(
    methods=("mtp",),
    max_batch_plain=None,
    max_batch_speculative=None,
    draft_change="per-request",
    reveals="rounds",
    token_ids_in=True,
    token_ids_out=True,
    sampling=True,
    scores=True,
    captures=("timing", "rounds"),
)
PAIR = Pair("pair", "t", "a")
VERIFY = {"speed": False, "draft_lengths": [2], "prompts": 4}


def plan(sweep: Mapping[str, object], **able: object) -> Plan:
    return make_plan(Sweep(**sweep), [Candidate("transformers", replace(ABLE, **able), PAIR)])  # type: ignore[arg-type]


def only(made: Plan) -> Group:
    (group,) = made.groups
    return group


def roles(group: Group) -> list[Role]:
    return [arm.cell.role for arm in group.arms]


# ------------------------------------------------------------------------------------------- controls


@pytest.mark.parametrize(
    ("batch", "largest", "shape"), [(1, None, 2), (2, None, 4), (2, 4, 4), (2, 3, 1), (4, 4, 1), (1, 1, None)]
)
def test_the_batch_shape_control_has_twice_the_rows_or_one_where_those_are_too_many(
    batch: int, largest: int | None, shape: int | None
) -> None:
    for speed in (True, False):
        group = only(plan({**VERIFY, "speed": speed, "batch_sizes": [batch]}, max_batch_plain=largest))
        assert [a.cell.batch_size for a in group.arms if a.cell.role == BATCH_SHAPE] == [shape] * (shape is not None)
        assert CONTROL in roles(group)


def test_the_known_biased_sampler_runs_only_where_sampling_is_verified() -> None:
    sampled = {**VERIFY, "temperature": [0.8], "top_k": 5}
    assert BIASED not in roles(only(plan({**sampled, "speed": True})))
    assert BIASED not in roles(only(plan(VERIFY)))
    for scores in (True, False):
        group = only(plan(sampled, scores=scores))
        (biased,) = [arm.cell for arm in group.arms if arm.cell.role == BIASED]
        assert biased.sampling.temperature == pytest.approx(BIASED_AT * 0.8)
        assert replace(biased, role=PLAIN, sampling=group.cell.sampling) == group.cell


@pytest.mark.parametrize(
    ("able", "scored"),
    [({}, True), ({"scores": False}, False), ({"token_ids_in": False}, False), ({"token_ids_out": False}, False)],
)
def test_the_plain_arm_is_drawn_once_more_only_where_no_scores_judge_it(able: dict[str, object], scored: bool) -> None:
    """Without scores, draws of the plain arm against more of them are the negative control."""
    group = only(plan({**VERIFY, "temperature": [0.8]}, **able))
    assert group.scores == scored
    assert roles(group).count(CONTROL) == (not scored)
    assert CONTROL in roles(only(plan({**VERIFY, "temperature": [0.8], "speed": True}, **able)))
    assert CONTROL in roles(only(plan(VERIFY, **able)))


def test_nothing_is_timed_and_every_arm_runs_once_a_visit_where_only_losslessness_is_verified() -> None:
    for temperature in (0.0, 0.8):
        group = only(plan({**VERIFY, "temperature": [temperature]}))
        calls = block(0, group, 0, 0)
        assert group.timed == ()
        assert {(call.half, call.phase) for call in calls} == {(0, INSTRUMENTED)}
        assert sorted(call.arm.label for call in calls) == sorted(arm.label for arm in group.arms)
        assert {a.cell.role for a in group.arms if a.capture == "rounds"} == {PLAIN, SPECULATIVE}


# ---------------------------------------------------------------------------------------------- draws


def visited(made: Plan) -> list[list[tuple[int, int]]]:
    """(unit, repeat) of every block, by group."""
    (stage,) = made.stages
    units = {group.number: range(4) for group in made.groups}
    done = [(group.number, unit, repeat) for group, unit, repeat in visits(stage, units)]
    return [[(unit, repeat) for number, unit, repeat in done if number == group.number] for group in made.groups]


@pytest.mark.parametrize(("asked", "draws"), [({}, DRAWS), ({"repeats": 5}, 5), ({"repeats": 1}, 1)])
def test_greedy_groups_are_visited_once_and_sampled_ones_as_often_as_asked(
    asked: dict[str, object], draws: int
) -> None:
    made = plan({**VERIFY, "temperature": [0.0, 0.8], "output_tokens": 128, **asked})
    greedy, sampled = visited(made)
    assert greedy == [(unit, 0) for unit in range(4)]
    assert sampled == [(unit, repeat) for repeat in range(draws) for unit in range(4)]
    assert made.calls == 4 * (len(made.groups[0].arms) + draws * len(made.groups[1].arms))


def test_greedy_groups_that_are_timed_are_visited_as_often_as_asked() -> None:
    (greedy,) = visited(plan({**VERIFY, "speed": True, "repeats": 3}))
    assert len(greedy) == 4 * 3


def test_the_embedded_sweep_s_one_visit_does_not_hold_where_it_is_verified() -> None:
    assert load(None, {}).repeats == 1
    assert load(None, {"speed": False}).repeats is None
    assert load(None, {"speed": False, "repeats": "7"}).repeats == 7


@pytest.mark.parametrize(
    ("sweep", "advice"),
    [
        ({"repeats": 2}, "--draws 2: 2 x 9 tokens from rounds after each of 4 prompts are 72"),
        ({"repeats": 8}, "--draws 9 or more"),
        ({"repeats": 8, "prompts": 2, "batch_sizes": [2]}, "--draws 9 or more"),
        ({"prompts": 1}, "--draws 34 or more"),
        ({"output_tokens": 1}, "-n 1: the only token comes from the prefill"),
        ({"output_tokens": 1, "temperature": [0.0]}, "-n 1: the only token comes from the prefill"),
    ],
)
def test_too_few_tokens_for_any_conclusion_name_the_number_needed(sweep: dict[str, object], advice: str) -> None:
    asked = {**VERIFY, "temperature": [0.8], "output_tokens": 10, **sweep}
    with pytest.raises(UsageError) as caught:
        check_size(plan(asked))
    assert advice in str(caught.value)
    assert "\n" not in str(caught.value)
    check_size(plan({**asked, "speed": True}))


def test_the_number_that_the_advice_names_is_the_smallest_that_is_enough() -> None:
    asked = {**VERIFY, "temperature": [0.8], "output_tokens": 10}
    check_size(plan({**asked, "repeats": 9}))
    with pytest.raises(UsageError, match="--draws 9 or more"):
        check_size(plan({**asked, "repeats": 8}))


def test_a_runtime_that_scores_greedy_output_only_draws_its_sampled_controls() -> None:
    greedy = only(plan({**VERIFY}, scores_sampling=False))
    sampled = only(plan({**VERIFY, "temperature": [0.8]}, scores_sampling=False))
    assert (greedy.scores, sampled.scores) == (True, False)
    assert CONTROL in [arm.cell.role for arm in sampled.arms]
