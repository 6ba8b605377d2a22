"""Steps held still and timed alone: rows at the beginning of a round, and calls timed block by block in turn."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from backends.reference.decoding import PREFILL_TOKENS
from backends.reference.engine import Running

BLOCK_S, MOST_CALLS = 0.005, 5
"""Calls that last so long together are a block, between two waits for the device."""
BUDGET_S = 1.0
"""Of all blocks together, where that makes no fewer than the fewest."""
FEWEST, MOST = 7, 15
"""Blocks of a part."""


@dataclass(frozen=True, slots=True)
class Part:
    """Seconds of one call over blocks, and CPU seconds of the process."""

    median: float
    """What a part costs where others use the machine too."""
    mean: float
    spread: float
    """Standard deviation."""
    cpu: float
    blocks: int


@contextmanager
def standing(running: Running, prompts: Sequence[tuple[int, ...]]) -> Iterator[torch.Tensor]:
    """Rows at the beginning of a round, where they stay whatever is verified; the logits [rows, vocabulary] after the
    prompts, whose most probable tokens are the rows' last ones."""
    rows, size = running.rows, running.rows.size
    together = max(1, PREFILL_TOKENS // max(map(len, prompts)))
    places = [[*range(size)][at : at + together] for at in range(0, size, together)]
    try:
        logits = torch.cat([running.fill(some, [prompts[place] for place in some]) for some in places])
        rows.last.copy_(running.first(logits, None))
        rows.active.zero_()
        yield logits
    finally:
        for place in range(size):
            rows.leave(place)


@dataclass(frozen=True, slots=True)
class Call:
    """What is timed. times: how often it does what is asked about, in one call."""

    of: Callable[[], object]
    times: int = 1


def in_turn(calls: Sequence[Call], device: torch.device) -> list[Part]:
    """Twice each without counting, then a block of each and over again, as often as time allows."""
    for call in calls:
        call.of()
    once = [block(call.of, 1, device)[0] for call in calls]
    often = [min(MOST_CALLS, math.ceil(BLOCK_S / max(seconds, 1e-9))) for seconds in once]
    turn = sum(seconds * n for seconds, n in zip(once, often, strict=True))
    rounds = min(MOST, max(FEWEST, int(BUDGET_S / max(turn, 1e-9))))
    blocks = [[block(call.of, n, device) for call, n in zip(calls, often, strict=True)] for _ in range(rounds)]
    return [_part(mine, call.times) for call, mine in zip(calls, zip(*blocks, strict=True), strict=True)]


def block(part: Callable[[], object], calls: int, device: torch.device) -> tuple[float, float]:
    """Seconds and CPU seconds of a call."""
    wait(device)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        part()
    wait(device)
    return (time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls


def wait(device: torch.device) -> None:
    """Until the device has done everything; a CPU has."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _part(blocks: Sequence[tuple[float, float]], times: int) -> Part:
    walls = [wall / times for wall, _ in blocks]
    cpu = statistics.fmean(cpu for _, cpu in blocks) / times
    return Part(statistics.median(walls), statistics.fmean(walls), statistics.stdev(walls), cpu, len(walls))
