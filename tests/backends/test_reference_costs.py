"""The parts of a round measured alone, and the floor under a pass."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from the_demo_pair import ENGINE, PAIR
from tiny_pairs import SHAPES, make

from backends.reference import Adapter, costs, decoding, floor
from backends.reference.session import ReferenceSession
from results.records import Draft, Prompt, Request

pytestmark = pytest.mark.model
MTP = replace(ENGINE, methods=("mtp",))
IDS = [tuple(range(5 + i, 45 + i)) for i in range(4)]
PROMPTS = [Prompt(f"p/{i}", "demo", "coding", ids, None) for i, ids in enumerate(IDS)]
PLAIN = Request(12, ignore_eos=True, capture="rounds")
DRAFTED = replace(PLAIN, draft=Draft("mtp", 4))


@pytest.fixture(scope="module")
def demo_session() -> Iterator[ReferenceSession]:
    with Adapter().open(PAIR, MTP) as session:
        assert isinstance(session, ReferenceSession)
        yield session


def measured(session: ReferenceSession, request: Request, rows: int = 1) -> costs.Costs:
    steps, plain = (session.running(IDS[:rows], each) for each in (request, PLAIN))
    return costs.measure(steps, plain, IDS[:rows])


def test_the_parts_are_those_of_a_round(demo_session: ReferenceSession) -> None:
    plain, drafted = measured(demo_session, PLAIN), measured(demo_session, DRAFTED)
    assert plain.d_ms is None and plain.d_spread_ms is None
    assert (plain.t_1_ms, plain.o_1_ms) == (plain.t_ms, plain.o_ms)
    assert drafted.d_ms is not None and 0 < drafted.d_ms < drafted.t_1_ms
    assert drafted.t_ms >= 0.8 * drafted.t_1_ms > 0
    assert 0 < drafted.o_1_ms < drafted.t_1_ms
    for found in (plain, drafted):
        assert 0 < found.o_ms < found.t_ms
        assert 0 < found.floor_ms < found.t_ms
        assert found.measured_over_floor == pytest.approx(found.t_ms / found.floor_ms)


def test_the_host_part_is_over_the_rounds_it_is_divided_by(
    demo_session: ReferenceSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that keep unequal numbers of drafts, as any batch does."""
    ids = [tuple((7 * i + 13 * j) % 900 + 5 for j in range(40)) for i in range(4)]
    prompts = [Prompt(f"u/{i}", "demo", "coding", row, None) for i, row in enumerate(ids)]
    decoded = demo_session.generate(prompts, DRAFTED)
    assert len({seen.rounds[0].accepted for seen in decoded if seen.rounds}) > 1
    ran: list[set[int]] = []

    def spy(*given: Any) -> list[decoding.Row]:
        rows = decoding.decode(*given)
        ran.append({len(row.rounds) for row in rows})
        return rows

    monkeypatch.setattr(costs, "decode", spy)
    costs.parts(demo_session.running(ids, DRAFTED), ids)
    assert ran and all(rounds == {costs.HOST_ROUNDS} for rounds in ran)


def test_a_pass_reads_every_weight_once_and_the_keys_and_values_in_reach(demo_session: ReferenceSession) -> None:
    assert demo_session.facts.target_bytes is not None
    plain, four = (measured(demo_session, PLAIN, rows) for rows in (1, 4))
    assert plain.bytes == pytest.approx(demo_session.facts.target_bytes, rel=0.15)
    row = plain.bytes - demo_session.facts.target_bytes
    assert four.bytes - plain.bytes == pytest.approx(3 * max(row, 0), rel=0.6, abs=0.1 * plain.bytes)
    assert four.flops == pytest.approx(4 * plain.flops)
    assert plain.flops == pytest.approx(2 * demo_session.facts.target_bytes / 4, rel=0.15)


def test_a_mixture_reads_the_experts_that_were_chosen(tmp_path: Path) -> None:
    with Adapter().open(make(tmp_path, "MoE"), MTP) as session:
        assert isinstance(session, ReferenceSession)
        plain, drafted = (floor.work_of(session.running(IDS[:1], request), IDS[:1]) for request in (PLAIN, DRAFTED))
        all_of_them = session.facts.target_bytes
    assert all_of_them is not None
    one = 4 * 3 * 64 * SHAPES["MoE"]["moe_intermediate_size"]  # gate, up and down, float32
    unused = 6 * (SHAPES["MoE"]["num_experts"] - SHAPES["MoE"]["top_k_experts"]) * one
    assert plain.bytes == pytest.approx(all_of_them - unused, rel=0.1)
    assert plain.bytes + 6 * one < drafted.bytes < plain.bytes + unused + 1e5


def test_they_are_stored_once_for_each_rule_and_batch_in_the_first_row(demo_session: ReferenceSession) -> None:
    first, second = (demo_session.generate(PROMPTS[:2], DRAFTED) for _ in range(2))
    told: Any = first[0].statement["costs"]
    assert (told["rows"], told["draft_length"], told["context"]) == (2, 4, 40.0)
    assert "costs" not in first[1].statement
    assert all("costs" not in seen.statement for seen in second)
    assert "costs" not in demo_session.generate(PROMPTS[:3], replace(DRAFTED, capture="timing"))[0].statement
    assert first[0].token_ids == second[0].token_ids


def test_bandwidth_and_peak_are_measured_once() -> None:
    device = torch.device("cpu")
    assert floor.copy_bandwidth(device) == floor.copy_bandwidth(device) > 1e8
    assert floor.product_peak(device, torch.float32, 1) == floor.product_peak(device, torch.float32, 1) > 1e8
