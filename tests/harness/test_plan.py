"""Plans, the order of blocks, and when to stop: all without an engine."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backends.base import Capabilities
from harness.candidates import Candidate, candidates
from harness.order import Call, block, sampling_seed, visits
from harness.plan import Group, Plan, Stage, units_of
from harness.planner import make_plan
from harness.stopping import StopRule
from harness.sweep import Sweep, load
from results.errors import UsageError
from results.metrics import Timing
from results.records import HEADLINE, Draft, Pair
from results.speedup import Visit
from workloads.pairs import PAIRS

ABLE = Capabilities(
    methods=("mtp",),
    max_batch_plain=None,
    max_batch_speculative=1,
    draft_change="per-request",
    reveals="rounds",
    token_ids_in=True,
    token_ids_out=True,
    sampling=False,
    scores=True,
    captures=("timing", "rounds"),
)
PAIR = Pair("pair", "t", "a")


def plan(able: Capabilities = ABLE, pair: Pair = PAIR, **sweep: object) -> Plan:
    return make_plan(Sweep(**{"prompts": 4, **sweep}), [Candidate("transformers", able, pair)])  # type: ignore[arg-type]


def test_a_group_is_plain_control_and_an_arm_per_method_and_length_and_a_control_in_another_batch_shape() -> None:
    (group,) = plan(draft_lengths=[2, 4]).groups
    assert [arm.label for arm in group.arms] == ["plain", "control", "mtp k=2", "mtp k=4", "batch-shape"]
    assert [arm.timed for arm in group.arms] == [True, True, True, True, False]
    assert [arm.instrumented for arm in group.arms] == [True, False, True, True, True]
    assert [arm.cell.batch_size for arm in group.arms] == [1, 1, 1, 1, 2]
    assert {arm.engine for arm in group.arms} == {0}


def test_one_engine_serves_all_groups_of_a_backend_and_pair() -> None:
    made = plan(prompt_tokens=[64, 256], output_tokens=40)
    assert len(made.engines) == 1
    assert made.engines[0].config.max_context == 296
    assert len(made.stages) == 1


@pytest.mark.parametrize(
    ("pair", "sweep", "reason"),
    [
        (PAIR, {"batch_sizes": [4]}, "transformers drafts at batch sizes up to 1, not 4"),
        (PAIR, {"temperature": [0.5]}, "transformers does not sample"),
        (Pair("lone", "t", None), {}, "lone names no assistant to draft by mtp"),
    ],
)
def test_what_cannot_run_is_put_aside_with_the_reason(pair: Pair, sweep: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=f"nothing can be measured: {reason}"):
        plan(pair=pair, **sweep)


def test_a_runtime_of_text_takes_prompts_of_a_length_only_where_it_shows_tokens() -> None:
    of_text = replace(ABLE, token_ids_in=False, scores=False)
    with pytest.raises(UsageError, match="takes no token ids and shows none, so that prompts keep their own length"):
        plan(of_text, prompt_tokens=[64])
    (group,) = plan(replace(of_text, encodes=True), prompt_tokens=[64]).groups
    assert (group.token_ids, group.cell.prompt_tokens) == (False, 64)


def test_an_mtp_assistant_and_an_eagle_3_head_stand_in_one_sweep_each_with_its_own_method(tmp_path: Path) -> None:
    demo = Path(PAIRS["demo"].target)
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLMEagle3"]}')
    names = (f"{demo}:{demo.parent / 'assistant'}", f"{demo}:{tmp_path}")
    sweep = Sweep(backends=("vllm",), pairs=names, methods=("mtp", "eagle3"), draft_lengths=(3,), prompts=4)
    made = make_plan(sweep, [*candidates(sweep)])
    drafting = [(group.pair.name, arm.cell.draft) for group in made.groups for arm in group.speculative]
    assert drafting == [(names[0], Draft("mtp", 3)), (names[1], Draft("eagle3", 3))]
    whys = [cell.skipped or "" for cell in made.skipped]
    assert len(whys) == 2
    assert "which needs --method mtp" in whys[0]
    assert "cannot run mtp: the assistant is no MTP assistant" in whys[1]


def test_a_part_that_a_drafter_does_not_have_cannot_be_taken_away() -> None:
    sweep = load(None, {"backends": "reference", "pairs": ["random:31B", "random:E2B"], "ablate": "centroids"})
    made = make_plan(sweep.model_copy(update={"draft_lengths": (2,)}), [*candidates(sweep)])
    drafting = [(group.pair.name, arm.cell.draft) for group in made.groups for arm in group.speculative]
    assert drafting == [
        ("random:gemma-4-31B", Draft("mtp", 2)),
        ("random:gemma-4-E2B", Draft("mtp", 2)),
        ("random:gemma-4-E2B", Draft("mtp-full-softmax", 2)),
    ]
    (cell,) = made.skipped
    assert cell.skipped == "random:gemma-4-31B cannot run mtp-full-softmax: the drafter has no centroids to do without"


def test_calls_and_tokens_are_counted() -> None:
    made = plan(draft_lengths=[2, 4], output_tokens=10, repeats=3)
    assert made.calls == 4 * (3 * 2 * 4 + 3 + 1)
    assert made.tokens == made.calls * 10
    assert made.seconds({"pair": 100.0}) == pytest.approx(made.calls * 1.0)
    assert made.seconds({"pair": None}) is None
    assert plan(time_budget=60, draft_lengths=[2]).calls is None
    assert plan(time_budget=60, repeats=1).seconds({}) == 60
    assert plan(time_budget=60, repeats=1, output_tokens=1).seconds({"pair": 1.0}) < 1  # type: ignore[operator]


def test_the_demo_plans_the_reference_engine_at_batch_1_and_4_and_transformers_beside_it() -> None:
    sweep = load(None, {})
    made = make_plan(sweep, [*candidates(sweep)])
    groups = [(g.cell.backend, g.cell.batch_size, g.cell.prompt_tokens, len(g.speculative)) for g in made.groups]
    assert groups == [("reference", 1, 64, 1), ("reference", 4, 64, 1), *(("transformers", 1, n, 6) for n in (64, 256))]
    assert [units_of(sweep, group, 72) for group in made.groups] == [1, 1, 24, 24]
    assert [units_of(sweep, group, 16) for group in made.groups] == [1, 1, 16, 16]
    assert [engine.config.max_batch for engine in made.engines] == [4, 1]
    assert [engine.config.max_context for engine in made.engines] == [64 + 24, 256 + 24]


def test_launches_repeats_precision_and_budget_bound_the_visits() -> None:
    assert plan().visits == 1
    assert plan(repeats=3, time_budget=60).visits == 3
    assert plan(time_budget=60).visits is None
    assert plan(precision="2%").visits == 10
    assert plan(launches=2, repeats=3, time_budget=60).visits == 6
    assert [stage.repeats for stage in plan(launches=2, repeats=3).stages] == [range(3), range(3, 6)]
    assert [stage.final for stage in plan(launches=2, repeats=3).stages] == [False, True]


def test_random_weights_make_synthetic_cells() -> None:
    (group,) = plan(pair=Pair("p", "t", "a", random_weights=True)).groups
    assert all(arm.cell.synthetic for arm in group.arms)


# ------------------------------------------------------------------------------------------------------------ order


def labels(calls: list[Call]) -> list[str]:
    return [call.arm.label for call in calls if call.phase == HEADLINE]


def test_a_block_is_mirrored_and_the_same_every_time() -> None:
    (group,) = plan().groups
    calls = block(7, group, 3, 0)
    assert labels(calls) == labels(calls)[::-1]
    assert [call.half for call in calls] == [0] * 8 + [1] * 8 + [0] * (7 + 1)
    assert Counter(labels(calls)) == {arm.label: 2 for arm in group.timed}
    assert calls == block(7, group, 3, 0)


def test_orders_differ_between_seeds_groups_units_and_repeats() -> None:
    first, second = plan(prompt_tokens=[64, 256]).groups
    orders = [block(0, first, 0, 0), block(1, first, 0, 0), block(0, first, 1, 0), block(0, first, 0, 1)]
    assert len({tuple(labels(calls)) for calls in [*orders, block(0, second, 0, 0)]}) == 5


def test_only_the_first_visit_is_instrumented() -> None:
    (group,) = plan().groups
    assert len(block(0, group, 0, 0)) == group.calls(first_visit=True) == 16 + 7 + 1
    assert len(block(0, group, 0, 1)) == group.calls(first_visit=False) == 16


def test_every_arm_comes_equally_often_at_every_place() -> None:
    (group,) = plan(draft_lengths=[1, 2]).groups
    places = Counter(
        (label, place) for unit in range(2000) for place, label in enumerate(labels(block(0, group, unit, 1))[:4])
    )
    assert len(places) == 16
    assert all(abs(found - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5 for found in places.values())


def test_groups_alternate_and_shorter_ones_end_earlier() -> None:
    first, second = plan(prompt_tokens=[64, 256]).groups
    stage = Stage((first, second), range(2), final=True)
    order = [(group.number, unit, repeat) for group, unit, repeat in visits(stage, {0: "ab", 1: "c"})]
    assert order == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 1)]
    assert list(visits(Stage((first,), None, final=True), {})) == []


def test_sampling_seeds_are_many_and_fit_into_31_bits() -> None:
    (group,) = plan().groups
    seeds = {sampling_seed(0, group, unit, 0, call) for unit in range(50) for call in block(0, group, unit, 0)}
    assert len(seeds) == 50 * (16 + 7 + 1)
    assert all(0 <= seed < 2**31 for seed in seeds)


# --------------------------------------------------------------------------------------------------------- stopping

CELLS = [1, 2, 3]


def rule(deadline: float | None = None, **sweep: object) -> tuple[StopRule, Group]:
    made = plan(draft_lengths=[2], **sweep)
    stop = StopRule(made, deadline)
    stop.expect(made.groups[0], CELLS, 4)
    stop.begin(made.stages[-1], stages_left=1)
    return stop, made.groups[0]


def feed(stop: StopRule, units: int, ratio: Callable[[int, int], float], launch: int = 1) -> None:
    """Visits of `units` units: the plain and control arms take 1, the third arm 1 / ratio(unit, half)."""
    for unit in range(units):
        for half in (0, 1):
            for cell in CELLS:
                tpot = 1e6 / (ratio(unit, half) if cell == 3 else 1 + 1e-4 * ((unit + half) % 3))
                stop.seen(cell, Visit(unit, launch - 1, half, launch, Timing(1e6, 1e7, tpot * 9, 9, 1e7, 10, 9)))


def precise(unit: int, half: int) -> float:
    return 2 + 0.001 * ((unit + half) % 5)


def test_precision_never_stops_before_20_units() -> None:
    stop, group = rule(precision="2%")
    feed(stop, 19, precise)
    assert stop.why(group, first_visit=True) is None
    feed(stop, 20, precise)
    why = stop.why(group, first_visit=True)
    assert why is not None
    assert why.startswith("precision reached: ±0.")


def test_a_wide_interval_goes_on() -> None:
    stop, group = rule(precision="2%")
    feed(stop, 24, lambda unit, half: 2 + half * (unit % 3))
    assert stop.why(group, first_visit=True) is None


def test_precision_never_stops_before_the_last_launch_has_seen_the_units() -> None:
    stop, group = rule(precision="2%", launches=2)
    first, last = plan(precision="2%", launches=2).stages
    feed(stop, 24, precise)
    stop.begin(first, stages_left=2)
    assert stop.why(group, first_visit=True) is None
    stop.begin(last, stages_left=1)
    assert stop.why(group, first_visit=True) is None
    feed(stop, 24, precise, launch=2)
    assert stop.why(group, first_visit=True) is not None


def test_without_a_wish_for_precision_nothing_stops_a_group_but_repeats() -> None:
    stop, group = rule()
    feed(stop, 24, precise)
    assert stop.why(group, first_visit=True) is None


def test_a_block_that_would_end_after_the_deadline_is_not_begun() -> None:
    stop, group = rule(time.monotonic() + 10)
    stop.block_done(group, first_visit=True, seconds=8.0)
    assert stop.why(group, first_visit=True) is None
    stop, group = rule(time.monotonic() + 7)
    stop.block_done(group, first_visit=True, seconds=8.0)
    assert stop.why(group, first_visit=True) == "time budget"
    assert stop.why(group, first_visit=False) is None


def test_the_first_block_of_a_group_is_always_measured() -> None:
    stop, group = rule(time.monotonic() - 1)
    assert stop.why(group, first_visit=True) is None


def test_stages_share_the_time_that_is_left() -> None:
    stop, group = rule(time.monotonic() + 20)
    stage = plan().stages[0]
    stop.begin(stage, stages_left=4)
    stop.block_done(group, first_visit=True, seconds=6.0)
    assert stop.why(group, first_visit=True) == "time budget"
    stop.begin(stage, stages_left=2)
    assert stop.why(group, first_visit=True) is None


def test_time_left_follows_from_the_blocks_so_far_and_the_budget() -> None:
    stop, group = rule(repeats=2)
    assert stop.seconds_left() is None
    stop.block_done(group, first_visit=True, seconds=9.0)  # 9 calls, and 6 at every later visit
    assert stop.seconds_left() == pytest.approx(3 * 9.0 + 4 * 6.0)
    stop.stopped(group)
    assert stop.seconds_left() == 0
    stop, group = rule(time.monotonic() + 5, repeats=2, time_budget=5)
    stop.block_done(group, first_visit=True, seconds=8.0)
    assert stop.seconds_left() == pytest.approx(5, abs=0.5)


# ------------------------------------------------------------------------------------------------- candidates


def candidate(**known: object) -> Candidate:
    return Candidate(**{"backend": "transformers", "able": ABLE, "pair": PAIR, **known})  # type: ignore[arg-type]


def test_a_pair_that_a_runtime_cannot_load_is_put_aside_and_the_others_are_measured() -> None:
    made = make_plan(Sweep(draft_lengths=(2,)), [candidate(misfit="no such file"), candidate()])
    assert len(made.groups) == 1
    assert {cell.skipped for cell in made.skipped} == {"no such file"}


def test_draft_lengths_that_are_fixed_in_a_file_are_measured_and_the_others_put_aside() -> None:
    able = replace(ABLE, draft_change="baked-in")
    inside = Pair("bundle", "t.litertlm", None)
    made = make_plan(Sweep(draft_lengths=(2, 4)), [candidate(able=able, pair=inside, draft_lengths=(4,))])
    (group,) = made.groups
    assert [arm.label for arm in group.speculative] == ["mtp k=4"]
    assert len(made.engines) == 1
    (aside,) = made.skipped
    assert aside.skipped == "transformers drafts 4 tokens a round with bundle, never 2"
    served = replace(able, formats=("served",))
    assert make_plan(Sweep(draft_lengths=(2,)), [candidate(able=served, pair=Pair("tag", "tag", None))]).groups
    with pytest.raises(UsageError, match="bundle holds no drafter for transformers"):
        make_plan(Sweep(draft_lengths=(2,)), [candidate(pair=inside, draft_lengths=())])
