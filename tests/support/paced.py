"""Run files whose arms have the speed they are told: `support.fake_run` with every draft accepted."""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import replace

from support.fake_run import DRAFT_NS, HOST_1_NS, HOST_NS, MS, PASS_NS, WIDER_NS, Call, World

PLAIN_MS = (PASS_NS + HOST_1_NS) / MS
"""TPOT of the plain arm: 10 ms."""
FAST = {1: 1.3, 3: 1.5, 4: 2.0}
"""k -> speed-up. With 40 tokens after the prefill's, k + 1 must divide 40: then no round is cut."""


def paced(speedups: Mapping[int, float] = FAST, *, noise: float = 0.01, seed: int = 0, **changes: object) -> World:
    """A world in which k decodes `speedups[k]` times as fast as plain decoding, on every prompt alike.

    noise: standard deviation of the log time of each call.
    """

    def slowness(call: Call) -> float:
        where = (
            seed,
            call.cell.group,
            call.cell.role,
            call.k,
            call.unit,
            call.repeat,
            call.half,
            call.phase,
            call.launch,
        )
        shaken = math.exp(random.Random(str(where)).gauss(0, noise))
        return shaken * (_own_speedup(call.k) / speedups[call.k] if call.k else 1.0)

    assert not any(40 % (k + 1) for k in speedups)
    world = World(lengths=tuple(speedups), units=8, pattern=(max(speedups),), slowness=slowness)
    return replace(world, **changes)  # type: ignore[arg-type]


def watts(plain: float, drafted: float) -> Callable[[Call], dict[str, float]]:
    """Telemetry of a GPU that draws so much."""
    return lambda call: {"gpu_watts": drafted if call.k else plain}


def _own_speedup(k: int) -> float:
    round_ns = k * DRAFT_NS + PASS_NS + k * WIDER_NS + HOST_NS
    return PLAIN_MS * MS * (k + 1) / round_ns
