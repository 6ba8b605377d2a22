"""The floor under a pass of the target."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from the_demo_pair import ENGINE, PAIR
from tiny_pairs import SHAPES, make

from backends.reference import Adapter, floor
from backends.reference.session import ReferenceSession
from results.records import Draft, Request

pytestmark = pytest.mark.model
MTP = replace(ENGINE, methods=("mtp",))
IDS = [tuple(range(5 + i, 45 + i)) for i in range(4)]
PLAIN = Request(12, ignore_eos=True)
DRAFTED = replace(PLAIN, draft=Draft("mtp", 4))


def work(session: ReferenceSession, request: Request, rows: int = 1) -> floor.Work:
    return floor.work_of(session.running(IDS[:rows], request), IDS[:rows])


def test_a_pass_reads_every_weight_once_and_the_keys_and_values_in_reach() -> None:
    with Adapter().open(PAIR, MTP) as session:
        assert isinstance(session, ReferenceSession)
        plain, four = (work(session, PLAIN, rows) for rows in (1, 4))
        weights = session.facts.target_bytes
    assert weights is not None
    assert plain.bytes == pytest.approx(weights, rel=0.15)
    assert four.bytes - plain.bytes == pytest.approx(3 * max(plain.bytes - weights, 0), rel=0.6, abs=0.1 * plain.bytes)
    assert four.flops == pytest.approx(4 * plain.flops)
    assert plain.flops == pytest.approx(2 * weights / 4, rel=0.15)


def test_a_mixture_reads_the_experts_that_were_chosen(tmp_path: Path) -> None:
    with Adapter().open(make(tmp_path, "MoE"), MTP) as session:
        assert isinstance(session, ReferenceSession)
        plain, drafted = (work(session, request) for request in (PLAIN, DRAFTED))
        all_of_them = session.facts.target_bytes
    assert all_of_them is not None
    one = 4 * 3 * 64 * SHAPES["MoE"]["moe_intermediate_size"]  # gate, up and down, float32
    unused = 6 * (SHAPES["MoE"]["num_experts"] - SHAPES["MoE"]["top_k_experts"]) * one
    assert plain.bytes == pytest.approx(all_of_them - unused, rel=0.1)
    assert plain.bytes + 6 * one < drafted.bytes < plain.bytes + unused + 1e5


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """How long the next calls of a part take, whatever they do."""
    left: list[float] = []

    def block(part: Callable[[], Any], calls: int, device: torch.device) -> tuple[float, float]:
        part()
        return left.pop(0), 0.0

    monkeypatch.setattr(floor, "block", block)
    monkeypatch.setattr(floor, "COPY_BYTES", 4096)
    monkeypatch.setattr(floor, "SIDE", {"cpu": 8})
    floor.copy_bandwidth.cache_clear()
    floor.product_peak.cache_clear()
    yield left
    floor.copy_bandwidth.cache_clear()
    floor.product_peak.cache_clear()


def test_bandwidth_is_read_and_written_bytes_by_the_best_time_and_measured_once(seconds: list[float]) -> None:
    seconds += [9.0, 4.0, 2.0, 4.0, 4.0, 4.0]
    cpu = torch.device("cpu")
    assert floor.copy_bandwidth(cpu) == floor.copy_bandwidth(cpu) == 2 * 4096 / 2.0
    assert not seconds


def test_the_peak_is_two_operations_a_multiplication_by_the_best_time_and_measured_once(seconds: list[float]) -> None:
    seconds += [9.0, 4.0, 2.0, 4.0, 4.0, 4.0]
    cpu = torch.device("cpu")
    assert floor.product_peak(cpu, torch.float32, 1) == floor.product_peak(cpu, torch.float32, 1) == 2 * 8**3 / 2.0
    assert not seconds


def test_many_copies_go_between_two_waits_for_a_device_and_one_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def block(part: object, calls: int, device: torch.device) -> tuple[float, float]:
        asked.append(calls)
        return 1.0, 0.0

    monkeypatch.setattr(floor, "block", block)
    for kind in ("meta", "cpu"):
        floor.copy_bandwidth.__wrapped__(torch.device(kind))
    assert asked == [floor.COPIES] * 6 + [1] * 6


def test_what_is_multiplied_is_random_and_takes_nothing_from_other_random_numbers(
    monkeypatch: pytest.MonkeyPatch, seconds: list[float]
) -> None:
    made: list[torch.Tensor] = []

    def block(part: Callable[[], torch.Tensor], calls: int, device: torch.device) -> tuple[float, float]:
        made.append(part())
        return 1.0, 0.0

    monkeypatch.setattr(floor, "block", block)
    before = torch.get_rng_state()
    floor.product_peak(torch.device("cpu"), torch.bfloat16, 1)
    assert made[0].float().std() > 0.5
    assert torch.equal(torch.get_rng_state(), before)
