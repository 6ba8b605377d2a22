"""Acceptance that is known beforehand: the real adapter and the real judgement must give exactly the simulated rounds.

See `support.permutation_pair`. Every figure is compared with ==, none with a tolerance.
"""

from collections.abc import Iterator

import pytest
from conformance import one
from support import permutation_pair
from support.permutation_pair import Walk

from backends.base import Session
from backends.transformers import Adapter
from results.judge import judge
from results.records import (
    INSTRUMENTED,
    PLAIN,
    SPECULATIVE,
    Cell,
    Draft,
    EngineConfig,
    Generation,
    Launch,
    Prompt,
    Request,
    Sampling,
    Trial,
)
from results.store import RunFile, RunWriter
from results.verdicts import CellVerdict

pytestmark = pytest.mark.model

LENGTHS = range(1, 9)
TOKENS = 61
"""The prefill's token and one turn through the cycle of 60."""
ENGINE = EngineConfig(dtype="float32", device="cpu", threads=1, methods=("mtp",))
RANDOM = permutation_pair.walk(wrong_share=0.3, seed=4)
PERIODIC = permutation_pair.wrong_every(5)


@pytest.fixture(scope="module", params=[RANDOM, PERIODIC], ids=["wrong after 30% of tokens", "wrong after every fifth"])
def walk(request: pytest.FixtureRequest) -> Walk:
    found: Walk = request.param
    return found


@pytest.fixture(scope="module")
def session(walk: Walk, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    pair = permutation_pair.write(tmp_path_factory.mktemp("permutation"), walk)
    with Adapter().open(pair, ENGINE) as opened:
        yield opened


@pytest.fixture(scope="module")
def prompts(walk: Walk) -> list[Prompt]:
    """Three prompts that end at different places of the cycle; their last tokens decide everything."""
    return [
        Prompt(f"p{i}", "walk", "tokens", tuple(walk.cycle[:length]), None) for i, length in enumerate((10, 20, 43))
    ]


@pytest.fixture(scope="module")
def seen(session: Session, prompts: list[Prompt]) -> dict[int, list[Generation]]:
    """Draft length -> what each prompt gave."""
    return {
        k: [one(session, prompt, Request(TOKENS, Draft("mtp", k), capture="rounds")) for prompt in prompts]
        for k in LENGTHS
    }


@pytest.fixture(scope="module")
def verdicts(
    seen: dict[int, list[Generation]], session: Session, prompts: list[Prompt], tmp_path_factory: pytest.TempPathFactory
) -> dict[int, CellVerdict]:
    """Draft length -> the verdict, by way of a run file."""
    path = tmp_path_factory.mktemp("run") / "known.sqlite"

    def cell(draft: Draft | None) -> Cell:
        role = SPECULATIVE if draft else PLAIN
        return Cell(0, role, "transformers", "permutation", draft, 1, None, TOKENS, Sampling(), "float32", "cpu")

    with RunWriter.create(path, {"name": "known"}) as writer:
        writer.add_cell(cell(None))
        launch = writer.add_launch(Launch("transformers", "permutation", ENGINE, 0, session.facts))
        ids = [writer.add_prompt(prompt) for prompt in prompts]
        for k, generations in seen.items():
            cell_id = writer.add_cell(cell(Draft("mtp", k)))
            for unit, (prompt, generation) in enumerate(zip(ids, generations, strict=True)):
                trial = Trial(cell_id, launch, unit, 0, 0, INSTRUMENTED, 0, 1, None)
                writer.add_trial(trial, [(prompt, generation)], {})
        writer.finish("finished")
    with RunFile.open(path) as file:
        return {verdict.draft_length: verdict for verdict in judge(file).cells}


def simulated(walk: Walk, prompts: list[Prompt], k: int) -> list[list[tuple[int, int, int]]]:
    """Rounds of each prompt as (drafted, accepted, emitted)."""
    return [walk.rounds((prompt.token_ids or ())[-1], k, TOKENS) for prompt in prompts]


def test_the_target_walks_its_cycle_with_and_without_drafts(
    walk: Walk, session: Session, prompts: list[Prompt], seen: dict[int, list[Generation]]
) -> None:
    for index, prompt in enumerate(prompts):
        expected = tuple(walk.text((prompt.token_ids or ())[-1], TOKENS))
        assert one(session, prompt, Request(TOKENS)).token_ids == expected
        assert {generations[index].token_ids for generations in seen.values()} == {expected}


@pytest.mark.parametrize("k", LENGTHS)
def test_every_round_is_the_simulated_one(
    walk: Walk, prompts: list[Prompt], seen: dict[int, list[Generation]], k: int
) -> None:
    rounds = [[(r.drafted, r.accepted, r.emitted) for r in generation.rounds or ()] for generation in seen[k]]
    assert rounds == simulated(walk, prompts, k)


@pytest.mark.parametrize("k", LENGTHS)
def test_acceptance_length_and_positions_are_exactly_the_simulated_ones(
    walk: Walk, prompts: list[Prompt], verdicts: dict[int, CellVerdict], k: int
) -> None:
    every = [r for rounds in simulated(walk, prompts, k) for r in rounds]
    accepted = [accepted for drafted, accepted, _ in every if drafted == k]
    found = verdicts[k].acceptance
    assert found is not None
    assert (found.rounds, found.rounds_left_out) == (len(accepted), len(every) - len(accepted))
    assert found.length == 1 + sum(accepted) / len(accepted)
    assert found.rate == sum(accepted) / len(accepted) / k
    assert found.per_position == tuple(sum(a >= i for a in accepted) / len(accepted) for i in range(1, k + 1))


def test_the_share_of_wrong_tokens_is_the_chosen_one() -> None:
    assert (len(RANDOM.wrong), len(PERIODIC.wrong), len(RANDOM.cycle)) == (18, 12, 60)
    assert sorted(RANDOM.draft(token) == RANDOM.after(token) for token in RANDOM.cycle) == [False] * 18 + [True] * 42


@pytest.mark.parametrize(("k", "accepted"), [(1, [1, 1, 0]), (2, [2, 1]), (3, [3, 0]), (4, [4]), (5, [4]), (8, [4])])
def test_the_simulation_agrees_with_rounds_worked_out_by_hand(k: int, accepted: list[int]) -> None:
    """Right four times, wrong the fifth: from the start of the cycle the rounds repeat with every five tokens."""
    rounds = PERIODIC.rounds(PERIODIC.cycle[-1], k, TOKENS)
    whole = [a for drafted, a, _ in rounds if drafted == k]
    assert whole == (accepted * len(whole))[: len(whole)]
