"""What makes a cell invalid, unverified, failed, skipped or synthetic: engines with one thing wrong each."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.fake_run import Call, World, write

from results.judge import judge
from results.records import HEADLINE, INSTRUMENTED, PLAIN, Arrival, DraftCounts, Failure, Generation
from results.runfile import RunFile
from results.verdicts import CellVerdict, RunVerdict

Spoil = Callable[[Call, Generation], Generation | Failure]


def verdict(folder: Path, world: World) -> RunVerdict:
    with RunFile.open(write(folder / "run.sqlite", world)) as file:
        return judge(file)


def cell(folder: Path, world: World, k: int = 2) -> CellVerdict:
    return next(c for c in verdict(folder, world).cells if c.draft_length == k)


def speculative(spoil: Callable[[Generation], Generation]) -> Spoil:
    """Only what speculative arms give is spoilt."""
    return lambda call, seen: spoil(seen) if call.k else seen


def plain(spoil: Callable[[Generation], Generation]) -> Spoil:
    """Only what the plain arm gives is spoilt."""
    return lambda call, seen: spoil(seen) if call.cell.role == PLAIN else seen


def burst(seen: Generation, tokens: int) -> Generation:
    """The same generation, arriving `tokens` at a time."""
    return replace(seen, arrivals=tuple(a for a in seen.arrivals if a.tokens % tokens == 1))


def test_seven_outputs_are_too_few_to_tell_that_the_prefill_is_counted(tmp_path: Path) -> None:
    assert cell(tmp_path, World(units=7, reveals="counts", spoil=speculative(prefill_counted))).status == "ok"


@pytest.mark.parametrize("reveals", ["rounds", "counts"])
def test_a_healthy_engine_is_ok(tmp_path: Path, reveals: str) -> None:
    found = verdict(tmp_path, World(reveals=reveals, batch_size=2, repeats=2, eos_at=30))  # type: ignore[arg-type]
    assert [(c.status, c.reason, c.synthetic) for c in found.cells] == [("ok", "", False)] * 3


# ---------------------------------------------------------------------------------------------- contradictions


def idle(seen: Generation) -> Generation:
    if seen.rounds is None:
        return seen
    rounds = tuple(replace(r, drafted=0, accepted=0, emitted=1) for r in seen.rounds)
    return replace(seen, rounds=(rounds[0],) * (seen.n_tokens - 1))


def prefill_counted(seen: Generation) -> Generation:
    """Accepted is what rounds leave of all tokens, the prefill's included."""
    assert seen.counts is not None
    assert seen.counts.rounds is not None
    return replace(
        seen, counts=DraftCounts(seen.counts.rounds, seen.counts.drafted, seen.n_tokens - seen.counts.rounds)
    )


def idle_counts(seen: Generation) -> Generation:
    return replace(seen, counts=DraftCounts(seen.n_tokens - 1, 0, 0))


def rounds_with(**change: int) -> Callable[[Generation], Generation]:
    """Changes the second round of what reveals rounds."""

    def spoil(seen: Generation) -> Generation:
        if seen.rounds is None:
            return seen
        first, second, *rest = seen.rounds
        return replace(seen, rounds=(first, replace(second, **change), *rest))

    return spoil


def counts_with(**change: int) -> Callable[[Generation], Generation]:
    def spoil(seen: Generation) -> Generation:
        assert seen.counts is not None
        return replace(seen, counts=replace(seen.counts, **change))

    return spoil


def a_token_lost(seen: Generation) -> Generation:
    assert seen.token_ids is not None
    arrivals = tuple(Arrival(a.ns, min(a.tokens, seen.n_tokens - 1)) for a in seen.arrivals)
    return replace(seen, n_tokens=seen.n_tokens - 1, token_ids=seen.token_ids[:-1], arrivals=arrivals)


def a_chunk_twice(seen: Generation) -> Generation:
    *rest, end = seen.arrivals
    return replace(seen, arrivals=(*rest, end, Arrival(end.ns + 1, end.tokens + 2)))


def one_draft_a_round(seen: Generation) -> Generation:
    assert seen.counts is not None
    assert seen.counts.rounds is not None
    return replace(seen, counts=DraftCounts(seen.counts.rounds, seen.counts.rounds, seen.counts.accepted))


BROKEN: dict[str, tuple[World, str]] = {
    "drafter loaded but idle": (World(spoil=speculative(idle)), "drafted is 0 in all 4 generations"),
    "the prefill's token in the totals": (
        World(units=8, reveals="counts", spoil=speculative(prefill_counted)),
        "rounds and accepted drafts add up to all tokens of 8 outputs",
    ),
    "idle by its totals": (World(reveals="counts", spoil=speculative(idle_counts)), "drafted is 0 in all 12 gen"),
    "the engine says off": (
        World(spoil=speculative(lambda seen: replace(seen, statement={"speculative": False}))),
        "the engine says that speculation is off",
    ),
    "a longer draft than asked": (World(spoil=speculative(rounds_with(drafted=7))), "drafted 7 tokens, but k is 2"),
    "tokens lost": (World(spoil=speculative(a_token_lost)), "40 tokens, but prefill and rounds emitted 41"),
    "a round that swallows tokens": (
        World(pattern=(1,), spoil=speculative(rounds_with(accepted=1, emitted=1))),
        "a round accepted 1 drafts and emitted 1 tokens",
    ),
    "the prefill's token counted as a round's": (
        World(spoil=speculative(lambda seen: replace(seen, n_prefill=0))),
        "41 tokens, but prefill and rounds emitted 40",
    ),
    "totals that do not add up": (
        World(reveals="counts", spoil=speculative(counts_with(rounds=5))),
        "41 tokens, but 1 of the prefill, 5 rounds",
    ),
    "more accepted than drafted": (
        World(reveals="counts", spoil=speculative(counts_with(accepted=99))),
        "99 of 36 drafts accepted",
    ),
    "totals of longer drafts": (
        World(reveals="counts", spoil=speculative(counts_with(drafted=99))),
        "99 tokens drafted, more than k = 2 a round",
    ),
    "positions that do not add up": (
        World(
            reveals="counts",
            spoil=speculative(lambda seen: replace(seen, counts=replace(seen.counts, per_position=(9, 9)))),  # type: ignore[type-var]
        ),
        "by position [9, 9]",
    ),
    "a stream that brings a chunk twice": (World(spoil=speculative(a_chunk_twice)), "41 tokens, 43 arrived"),
    "a prefix cache": (World(spoil=speculative(lambda seen: replace(seen, cached_tokens=4))), "4 prompt tokens came"),
    "a prompt that is longer in one arm": (
        World(spoil=speculative(lambda seen: replace(seen, prompt_tokens=9))),
        "the prompt has 9 tokens, and 8 in the plain arm",
    ),
    "a baseline that arrives in bursts": (
        World(spoil=plain(lambda seen: burst(seen, 2))),
        "the plain arm is no baseline: 480 tokens after the first chunk came in 240 chunks",
    ),
    "a baseline that reveals drafts": (
        World(spoil=plain(lambda seen: replace(seen, counts=DraftCounts(20, 40, 20)))),
        "it drafted tokens",
    ),
    "a baseline with fewer passes than tokens": (
        World(spoil=plain(lambda seen: replace(seen, steps=seen.steps and seen.steps[:20]))),
        "40 tokens after the prefill took 20 target passes",
    ),
    "a baseline that says so itself": (
        World(spoil=plain(lambda seen: replace(seen, statement={"speculative": True}))),
        "the engine says that speculation is on",
    ),
}


def test_a_baseline_whose_chunks_are_uncounted_comes_in_no_bursts(tmp_path: Path) -> None:
    def as_text(call: Call, seen: Generation) -> Generation:
        last = seen.arrivals[-1]
        few = (Arrival(1, 0), Arrival(last.ns // 2, 1), last)
        return replace(seen, token_ids=None, text="the same", arrivals=few, steps=None)

    found = cell(tmp_path, World(spoil=as_text))
    assert (found.status, found.reason) == ("ok", "")


@pytest.mark.parametrize("name", BROKEN)
def test_contradicting_evidence_makes_a_cell_invalid(tmp_path: Path, name: str) -> None:
    world, reason = BROKEN[name]
    found = cell(tmp_path, world)
    assert found.status == "invalid"
    assert reason in found.reason
    assert "\n" not in found.reason


def test_a_draft_length_that_is_never_reached_is_not_obeyed(tmp_path: Path) -> None:
    def shorter(call: Call, seen: Generation) -> Generation:
        if not seen.rounds or call.k < 4:
            return seen
        rounds = tuple(replace(r, drafted=3) for r in seen.rounds)
        return replace(seen, rounds=rounds)

    found = verdict(tmp_path, World(pattern=(2, 0, 3), spoil=shorter))
    assert [c.status for c in found.cells] == ["ok", "ok", "invalid"]
    assert "k = 4 is not obeyed" in found.cells[2].reason


def test_outputs_too_short_for_a_whole_draft_say_nothing_about_its_length(tmp_path: Path) -> None:
    def shrunk(call: Call, seen: Generation) -> Generation:
        if not seen.rounds:
            return seen
        return replace(seen, rounds=tuple(replace(r, drafted=min(r.drafted, 2)) for r in seen.rounds))

    found = verdict(tmp_path, World(output_tokens=4, pattern=(0, 1), spoil=shrunk))
    assert [c.status for c in found.cells] == ["ok"] * 3
    assert found.cells[2].acceptance is None


def test_totals_of_a_constant_shorter_draft_are_not_obeyed(tmp_path: Path) -> None:
    found = verdict(tmp_path, World(reveals="counts", pattern=(0, 1), spoil=speculative(one_draft_a_round)))
    assert [(c.status, c.reason) for c in found.cells] == [
        ("ok", ""),
        ("invalid", "every round drafted 1 tokens: k = 2 is not obeyed"),
        ("invalid", "every round drafted 1 tokens: k = 4 is not obeyed"),
    ]


def test_a_headline_pass_that_does_not_draft_contradicts_the_instrumented_one(tmp_path: Path) -> None:
    def token_by_token(call: Call, seen: Generation) -> Generation:
        if not call.k or call.phase == INSTRUMENTED:
            return seen
        return replace(seen, arrivals=tuple(Arrival(1000 * (i + 1), i + 1) for i in range(seen.n_tokens)))

    found = cell(tmp_path, World(spoil=token_by_token))
    assert found.status == "invalid"
    assert "headline tokens came in 320 chunks after the first" in found.reason


@pytest.mark.parametrize("phases", [(HEADLINE,), (INSTRUMENTED,), (HEADLINE, INSTRUMENTED)])
def test_a_server_that_merges_chunks_contradicts_nothing(tmp_path: Path, phases: tuple[str, ...]) -> None:
    def merged(call: Call, seen: Generation) -> Generation:
        return replace(seen, arrivals=seen.arrivals[::-2][::-1]) if call.k and call.phase in phases else seen

    found = verdict(tmp_path, World(spoil=merged))
    assert [(c.status, c.reason) for c in found.cells] == [("ok", "")] * 3


def test_an_idle_headline_pass_is_seen_although_chunks_were_merged(tmp_path: Path) -> None:
    def idle_and_merged(call: Call, seen: Generation) -> Generation:
        if not call.k:
            return seen
        if call.phase == INSTRUMENTED:
            return replace(seen, arrivals=(*seen.arrivals[:2], *seen.arrivals[3:]))
        every = [Arrival(1000 * (i + 1), i + 1) for i in range(seen.n_tokens)]
        return replace(seen, arrivals=tuple(a for a in every if a.tokens % 4))

    found = cell(tmp_path, World(spoil=idle_and_merged))
    assert found.status == "invalid"
    assert "headline tokens came in" in found.reason


def test_a_busy_baseline_whose_engine_says_that_it_does_not_draft_comes_in_no_bursts(tmp_path: Path) -> None:
    def busy(seen: Generation) -> Generation:
        return burst(replace(seen, statement={"speculative": False}), 2)

    found = verdict(tmp_path, World(spoil=plain(busy)))
    assert [(c.status, c.reason) for c in found.cells] == [("ok", "")] * 3


# ------------------------------------------------------------------------------------------- absence and failure


def test_a_runtime_that_reveals_nothing_is_unverified(tmp_path: Path) -> None:
    found = cell(tmp_path, World(reveals="nothing"))
    assert (found.status, found.acceptance) == ("unverified", None)
    assert found.speedup is not None
    assert "reveals neither" in found.reason


def test_generations_that_end_with_their_first_token_verify_nothing(tmp_path: Path) -> None:
    assert cell(tmp_path, World(output_tokens=1)).status == "unverified"


def test_a_cell_whose_every_trial_failed_has_failed_with_its_message(tmp_path: Path) -> None:
    def crash(call: Call, seen: Generation) -> Generation | Failure:
        return Failure("oom", "not enough memory for k = 4") if call.k == 4 else seen

    found = verdict(tmp_path, World(spoil=crash))
    assert [c.status for c in found.cells] == ["ok", "ok", "failed"]
    assert found.cells[2].reason == "oom: not enough memory for k = 4"
    assert found.cells[2].trials_failed == 8


def test_without_its_plain_arm_every_cell_has_failed(tmp_path: Path) -> None:
    def crash(call: Call, seen: Generation) -> Generation | Failure:
        return Failure("crash", "gone") if call.cell.role == PLAIN else seen

    assert {(c.status, c.reason) for c in verdict(tmp_path, World(spoil=crash)).cells} == {
        ("failed", "the plain arm: crash: gone")
    }


def test_some_failed_trials_leave_the_others(tmp_path: Path) -> None:
    def crash(call: Call, seen: Generation) -> Generation | Failure:
        return Failure("timeout", "late") if call.k and call.unit == 0 and call.phase == HEADLINE else seen

    found = cell(tmp_path, World(spoil=crash))
    assert (found.status, found.n_units, found.units_dropped, found.trials_failed) == ("ok", 3, 1, 2)


def test_a_cell_put_aside_keeps_its_reason(tmp_path: Path) -> None:
    found = cell(tmp_path, World(skipped={2: "the draft length is baked in at 4"}))
    assert (found.status, found.reason) == ("skipped", "the draft length is baked in at 4")
    assert (found.speedup, found.n_units, found.trials) == (None, 0, 0)


def test_a_run_that_ended_before_anything_was_measured_is_skipped(tmp_path: Path) -> None:
    assert {c.status for c in verdict(tmp_path, World(units=0, state="interrupted")).cells} == {"skipped"}


# ------------------------------------------------------------------------------------------------------ synthetic


def test_forced_acceptance_and_random_weights_are_synthetic_and_never_the_best(tmp_path: Path) -> None:
    found = verdict(tmp_path, World(synthetic=True))
    assert all(c.synthetic and c.status == "ok" for c in found.cells)
    assert found.best == []


def test_an_engine_that_states_forced_acceptance_is_synthetic(tmp_path: Path) -> None:
    world = World(spoil=speculative(lambda seen: replace(seen, statement={"synthetic": True})))
    assert all(c.synthetic for c in verdict(tmp_path, world).cells)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_forced_output_is_not_held_against_the_engine(tmp_path: Path, temperature: float) -> None:
    def other(seen: Generation) -> Generation:
        assert seen.token_ids is not None
        return replace(seen, token_ids=(*seen.token_ids[:-1], 7), statement={"synthetic": True})

    found = verdict(tmp_path, World(temperature=temperature, spoil=speculative(other)))
    assert {c.output for c in found.cells} == {"untested"}
    assert not any(c.not_lossless for c in found.cells)
    assert found.certificate.reasons[0].endswith("the output is not meant to be the target's own")


# ------------------------------------------------------------------------------------------------------- remarks


def test_greedy_output_that_differs_from_the_instrumented_pass_is_remarked_and_not_invalid(tmp_path: Path) -> None:
    def other(call: Call, seen: Generation) -> Generation:
        if call.k != 2 or call.phase == INSTRUMENTED or call.unit:
            return seen
        assert seen.token_ids is not None
        return replace(seen, token_ids=(*seen.token_ids[:-1], 7))

    found = verdict(tmp_path, World(spoil=other))
    assert {c.status for c in found.cells} == {"ok"}
    assert any("differs (1 of 4 units at k = 2)" in line for line in found.warnings)
