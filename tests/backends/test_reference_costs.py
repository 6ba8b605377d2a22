"""The parts of a round measured alone, on a clock that goes on only where the test says so."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from the_demo_pair import ENGINE, PAIR
from tiny_pairs import make

from backends.reference import Adapter, alone, costs, decoding, paths
from backends.reference.alone import Call, in_turn
from backends.reference.engine import Running
from backends.reference.rows import Rows
from backends.reference.session import ReferenceSession
from results.records import Draft, Prompt, Request

pytestmark = pytest.mark.model
MTP = replace(ENGINE, methods=("mtp",))
COMPILED = replace(MTP, options={"path": "compiled"})
IDS = [tuple(range(5 + i, 45 + i)) for i in range(4)]
PROMPTS = [Prompt(f"p/{i}", "demo", "coding", ids, None) for i, ids in enumerate(IDS)]
MIXED = [tuple((7 * i + 13 * j) % 900 + 5 for j in range(40)) for i in range(4)]
"""Prompts that keep unequal numbers of drafts, as any batch does."""
MIXED_PROMPTS = [Prompt(f"m/{i}", "demo", "coding", ids, None) for i, ids in enumerate(MIXED)]
PLAIN = Request(12, ignore_eos=True, capture="rounds")
DRAFTED = replace(PLAIN, draft=Draft("mtp", 4))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def demo_session() -> Iterator[ReferenceSession]:
    with Adapter().open(PAIR, MTP) as session:
        assert isinstance(session, ReferenceSession)
        yield session


class Clock:
    """Wall and CPU time; a call of what it slows takes so many seconds of one and half as many of the other."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds

    def process_time(self) -> float:
        return self.seconds / 2

    def slow(self, step: Callable[..., Any], seconds: float) -> Callable[..., Any]:
        def slowed(*given: Any) -> Any:
            self.seconds += seconds
            return step(*given)

        return slowed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(alone, "time", made)
    return made


def test_a_part_is_the_median_of_its_blocks_and_blocks_go_in_turn(clock: Clock) -> None:
    went: list[str] = []
    swings = iter([9.0, 9.0, *[0.010, 0.012, 0.200] * 5])  # two calls that do not count

    def steady() -> None:
        went.append("steady")
        clock.seconds += 0.020

    def swinging() -> None:
        went.append("swinging")
        clock.seconds += next(swings)

    first, second = in_turn([Call(steady), Call(swinging, times=2)], CPU)
    assert went == ["steady", "swinging"] * (len(went) // 2)
    assert (first.median, first.mean, first.spread) == pytest.approx((0.020, 0.020, 0))
    assert first.cpu == pytest.approx(0.010)
    assert second.blocks == first.blocks == alone.FEWEST
    assert second.median == pytest.approx(0.006)  # of .010 .012 .200 .010 .012 .200 .010, for two in a call


@pytest.mark.parametrize(("seconds", "blocks", "calls"), [(1e-4, 15, 5), (0.002, 15, 3), (0.08, 12, 1), (2.0, 7, 1)])
def test_quick_parts_are_called_often_and_slow_ones_seldom(
    clock: Clock, seconds: float, blocks: int, calls: int
) -> None:
    made = Counter[str]()

    def part() -> None:
        made["calls"] += 1
        clock.seconds += seconds

    (found,) = in_turn([Call(part)], CPU)
    assert (found.blocks, made["calls"]) == (blocks, 2 + blocks * calls)


def test_a_statement_has_the_cost_of_every_part(
    demo_session: ReferenceSession, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking .2 ms, drafting 4, verifying 10; plain .1 and 8; host .3; prefills 20 and 10 a prompt, their tokens 1."""
    drafted, plain = (demo_session.running(IDS, request) for request in (DRAFTED, PLAIN))
    for batch, look, draft, verify in ((drafted, 2e-4, 4e-3, 1e-2), (plain, 1e-4, 0.0, 8e-3)):
        for name, seconds in (("look", look), ("draft", draft), ("verify", verify), ("first", 1e-3)):
            monkeypatch.setattr(batch, name, clock.slow(getattr(batch, name), seconds), raising=False)
    fill = Rows.fill

    def filled(rows: Rows, places: list[int], *given: Any) -> torch.Tensor:
        clock.seconds += 0.02 + 0.01 * len(places)
        return fill(rows, places, *given)

    monkeypatch.setattr(Rows, "fill", filled)
    monkeypatch.setattr(costs._Instant, "round", clock.slow(costs._Instant.round, 3e-4))
    monkeypatch.setattr(costs, "copy_bandwidth", lambda device: 1e9)
    monkeypatch.setattr(costs, "product_peak", lambda device, dtype, threads: 1e30)

    found = costs.measure(drafted, plain, IDS)
    first = 1e3 * 1e-3 / costs.HOST_ROUNDS  # prefill's tokens, once in HOST_ROUNDS rounds of the host's part
    assert (found.rows, found.draft_length, found.context) == (4, 4, 40.0)
    assert (found.t_ms, found.t_1_ms, found.d_ms) == pytest.approx((10.0, 8.0, 1.0))
    assert (found.o_ms, found.o_1_ms) == pytest.approx((0.2 + 0.3 + first, 0.1 + 0.3 + first))
    assert (found.join_ms, found.join_further_ms) == pytest.approx((31.0, 10.0))
    spreads = (found.t_spread_ms, found.d_spread_ms, found.o_spread_ms, found.t_1_spread_ms, found.join_spread_ms)
    assert spreads == pytest.approx((0,) * 5, abs=1e-9)
    assert found.floor_ms == pytest.approx(1e3 * found.bytes / 1e9)
    assert found.measured_over_floor == pytest.approx(10.0 / found.floor_ms)

    alone_plain = costs.measure(plain, plain, IDS)
    assert (alone_plain.t_ms, alone_plain.t_1_ms) == pytest.approx((8.0, 8.0))
    assert alone_plain.o_1_ms == alone_plain.o_ms
    assert (alone_plain.d_ms, alone_plain.d_spread_ms) == (None, None)
    single = costs.measure(*[demo_session.running(IDS[:1], PLAIN)] * 2, IDS[:1])
    assert (single.join_ms, single.join_spread_ms, single.join_further_ms) == (None, None, None)


def test_the_host_part_is_over_the_rounds_it_is_divided_by(
    demo_session: ReferenceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = demo_session.generate(MIXED_PROMPTS, DRAFTED)
    assert len({seen.rounds[0].accepted for seen in decoded if seen.rounds}) > 1
    ran: list[set[int]] = []

    def spy(*given: Any) -> list[decoding.Row]:
        rows = decoding.decode(*given)
        ran.append({len(row.rounds) for row in rows})
        return rows

    monkeypatch.setattr(costs, "decode", spy)
    costs.parts(demo_session.running(MIXED, DRAFTED), MIXED)
    assert ran and all(rounds == {costs.HOST_ROUNDS} for rounds in ran)


def test_they_are_stored_once_for_each_rule_and_batch_in_the_first_row(
    demo_session: ReferenceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Counter[tuple[int, int]]()

    def spy(running: Running, *given: Any) -> costs.Costs:
        asked[running.rows.size, running.rule.length] += 1
        return costs.Costs(**dict.fromkeys(costs.Costs.__dataclass_fields__, 0))

    monkeypatch.setattr("backends.reference.session.costs", SimpleNamespace(measure=spy))
    headline = [demo_session.generate(PROMPTS[:3], replace(DRAFTED, capture="timing"))[0] for _ in range(2)]
    assert not asked and all("costs" not in seen.statement for seen in headline)
    first, second, other = (demo_session.generate(PROMPTS[:n], DRAFTED) for n in (3, 3, 2))
    demo_session.generate(PROMPTS[:3], PLAIN)
    for ids in (IDS[0][:39], IDS[0][:10], IDS[0][:10]):  # a join of shorter prompts costs less, and a little is nothing
        demo_session.generate([replace(prompt, token_ids=ids) for prompt in PROMPTS[:3]], PLAIN)
    for ids in (IDS[0], IDS[0][:10]):  # nothing joins a single row
        demo_session.generate([replace(PROMPTS[0], token_ids=ids)], PLAIN)
    assert asked == {(3, 4): 1, (2, 4): 1, (3, 0): 2, (1, 0): 1}
    assert "costs" in first[0].statement and "costs" in other[0].statement
    assert not any("costs" in seen.statement for seen in [*first[1:], *second, *other[1:]])
    assert first[0].token_ids == second[0].token_ids


def test_the_measured_costs_are_part_of_the_statement(demo_session: ReferenceSession) -> None:
    request = replace(DRAFTED, draft=Draft("mtp", 3), in_flight=2)
    told: Any = demo_session.generate(MIXED_PROMPTS, request)[0].statement["costs"]
    assert (told["rows"], told["draft_length"], told["context"]) == (2, 3, 40.0)
    assert alone.FEWEST <= told["blocks"] <= alone.MOST
    assert all(told[key] > 0 for key in ("t_ms", "d_ms", "o_ms", "t_1_ms", "o_1_ms", "join_ms", "floor_ms"))


def test_rows_tell_when_they_waited_for_others_to_join(demo_session: ReferenceSession) -> None:
    """Two places. Plain rows end together and wait for nobody; of drafted ones the later waits for the next prompt."""
    plain = demo_session.generate(MIXED_PROMPTS, replace(PLAIN, in_flight=2))
    assert plain[0].statement["waits"] == [[], [], [], []]
    assert "waits" not in plain[1].statement
    assert "waits" not in demo_session.generate(MIXED_PROMPTS[:1], PLAIN)[0].statement
    assert (
        "waits" not in demo_session.generate(MIXED_PROMPTS, replace(PLAIN, in_flight=2, capture="timing"))[0].statement
    )

    drafted = demo_session.generate(MIXED_PROMPTS, replace(DRAFTED, in_flight=2))
    waits: Any = drafted[0].statement["waits"]
    ends = [len(row.rounds or ()) for row in drafted]
    early, late = (0, 1) if ends[0] < ends[1] else (1, 0)
    assert ends[early] < ends[late]
    had = 1 + sum(seen.emitted for seen in (drafted[late].rounds or ())[: ends[early]])
    assert waits[early] == []
    assert waits[late] == [[had, 1]]


def test_no_step_is_compiled_to_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be compiled is counted here and runs as it is written. Experts cannot be seen; margins can."""
    first_calls: list[str] = []

    def counted(step: Callable[..., Any], name: str, device: torch.device) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            if name not in first_calls:
                first_calls.append(name)
            return step(*given)

        return call

    monkeypatch.setattr(paths, "compiled", counted)
    drafted = replace(PLAIN, draft=Draft("mtp", 2))
    with Adapter().open(make(tmp_path, "MoE"), COMPILED) as session:
        early = session.generate(PROMPTS[:2], drafted)[0].statement
        assert len(first_calls) == 3 and "costs" not in early  # plain steps would have to be compiled
        plain = session.generate(PROMPTS[:2], replace(PLAIN, capture="timing"))[0]
        known = [*first_calls]
        late = session.generate(PROMPTS[:2], drafted)[0].statement
    assert len(known) == 5 and first_calls == known
    assert plain.statement["path"] == late["path"] == "compiled"
    assert isinstance(late["costs"], dict)
    assert "experts" not in early and "experts" not in late
    with Adapter().open(make(tmp_path / "again", "MoE"), MTP) as session:
        eager = session.generate(PROMPTS[:2], drafted)[0].statement
    assert "experts" in eager
    assert late["margins"] == pytest.approx(eager["margins"], abs=1e-4)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # PyTorch's compiler asks for its own old parts
def test_compiled_steps_are_measured_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain steps, compiled in earnest: measuring makes no further graph, and margins are those of the logits."""
    graphs: list[int] = []
    measure = costs.measure

    def spy(*given: Any) -> costs.Costs:
        graphs.append(paths.counters["stats"]["unique_graphs"])
        found = measure(*given)
        graphs.append(paths.counters["stats"]["unique_graphs"])
        return found

    monkeypatch.setattr(costs, "measure", spy)
    pair = make(tmp_path, "unified")
    with Adapter().open(pair, COMPILED) as session:
        (seen,) = session.generate(PROMPTS[:1], PLAIN)
    with Adapter().open(pair, MTP) as session:
        (eager,) = session.generate(PROMPTS[:1], PLAIN)
    assert len(graphs) == 4 and len({*graphs}) == 1 and graphs[0] > 0
    assert seen.statement["path"] == "compiled" and isinstance(seen.statement["costs"], dict)
    assert seen.token_ids == eager.token_ids
    assert seen.statement["margins"] == pytest.approx(eager.statement["margins"], abs=1e-3)
