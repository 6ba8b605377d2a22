"""What a round's parts cost, each measured alone, and what a pass of the target must read and compute at the least.

t is a target pass of k + 1 tokens a row, d a draft step, o what the host adds to a round (METHOD section 2). None of
them comes from rounds here, so that a prediction made of them can be set beside the rounds' own time. Costs of drafted
and of plain steps are measured block by block in turn: a machine is not equally fast from one second to the next.
The floor is that of a roofline: bytes that a pass must read / the bandwidth of a copy, or floating-point operations /
those of a large matrix product, whichever is longer. A model that fits the processor's caches can run below it.
"""

import functools
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast

import torch

from backends.reference.cache import SLIDING
from backends.reference.decoding import PREFILL_TOKENS, Order, decode
from backends.reference.engine import Round, Running
from backends.reference.experts import Experts, routers
from backends.reference.steps import Verified
from results.records import Json

BLOCKS, CALLS = 9, 3
"""A part is called so often in a row, between two waits for the device."""
SLOW_S = 0.5
"""Calls from which a block is one of them."""
HOST_ROUNDS = 40
COPY_BYTES = 2**28
"""Beyond the caches of CPUs and GPUs of 2026."""
SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices of which a product gives the peak; elsewhere 4096."""


@dataclass(frozen=True, slots=True)
class Part:
    """Seconds of one call over blocks, and CPU seconds of the process."""

    median: float
    """What a part costs where others use the machine too."""
    mean: float
    spread: float
    """Standard deviation."""
    cpu: float


@dataclass(frozen=True, slots=True)
class Parts:
    """Of one round. drafting: all k steps; 0 where there are none."""

    look: Part
    drafting: Part
    verify: Part
    host: Part

    @property
    def overhead(self) -> float:
        """o: looking and the host's part, medians."""
        return self.look.median + self.host.median

    @property
    def overhead_spread(self) -> float:
        return math.hypot(self.look.spread, self.host.spread)

    @property
    def wall(self) -> float:
        """Of a round, mean."""
        return sum(part.mean for part in (self.look, self.drafting, self.verify, self.host))

    @property
    def cpu(self) -> float:
        return sum(part.cpu for part in (self.look, self.drafting, self.verify, self.host))


@dataclass(frozen=True, slots=True)
class Work:
    """Of one target pass, at the least."""

    bytes: float
    """Weights touched (of embedding tables the rows of its tokens, of mixtures the experts that were chosen), and keys
    and values in reach, each once."""
    flops: float
    """Two for each weight and token it meets, and the products of attention."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Times in milliseconds, medians with standard deviations over blocks; stored as a statement's `costs`."""

    rows: int
    draft_length: int
    context: float
    """Tokens that a row held, mean."""
    t_ms: float
    """t(k + 1, rows): a verification, or a plain pass at k = 0."""
    t_spread_ms: float
    d_ms: float | None
    """d(rows): a draft step. None at k = 0."""
    d_spread_ms: float | None
    o_ms: float
    """o(rows): looking where the rows are, and the host's part of a round."""
    o_spread_ms: float
    t_1_ms: float
    """t(1, rows): a plain pass, measured in turn with the others."""
    t_1_spread_ms: float
    o_1_ms: float
    """o_1(rows): what the host adds to a plain step."""
    bytes: float
    flops: float
    bandwidth: float
    """Bytes per second, read and written, of a copy."""
    peak: float
    """Floating-point operations per second of a matrix product in this type."""
    floor_ms: float
    measured_over_floor: float

    @property
    def json(self) -> dict[str, Json]:
        return asdict(self)


def measure(running: Running, plain: Running, prompts: Sequence[tuple[int, ...]]) -> Costs:
    """Of these steps over these prompts, one for each row. Takes about a second; the rows are free afterwards.

    plain: plain decoding's steps on the same rows; may be `running` itself.
    """
    k, rows = running.rule.length, running.rows
    drafted = parts(running, prompts) if plain is running else None
    found, undrafted = (drafted, drafted) if drafted else both(running, plain, prompts)
    work = work_of(running, prompts)
    bandwidth = copy_bandwidth(rows.lengths.device)
    peak = product_peak(rows.lengths.device, rows.hidden.dtype, torch.get_num_threads())
    floor = max(work.bytes / bandwidth, work.flops / peak)
    return Costs(
        rows=rows.size,
        draft_length=k,
        context=statistics.fmean(map(len, prompts)),
        t_ms=1e3 * found.verify.median,
        t_spread_ms=1e3 * found.verify.spread,
        d_ms=1e3 * found.drafting.median / k if k else None,
        d_spread_ms=1e3 * found.drafting.spread / k if k else None,
        o_ms=1e3 * found.overhead,
        o_spread_ms=1e3 * found.overhead_spread,
        t_1_ms=1e3 * undrafted.verify.median,
        t_1_spread_ms=1e3 * undrafted.verify.spread,
        o_1_ms=1e3 * undrafted.overhead,
        bytes=work.bytes,
        flops=work.flops,
        bandwidth=bandwidth,
        peak=peak,
        floor_ms=1e3 * floor,
        measured_over_floor=found.verify.median / floor,
    )


def parts(running: Running, prompts: Sequence[tuple[int, ...]]) -> Parts:
    """Looking, drafting and verifying over the same positions again and again, and the host's part over no work."""
    return _parts([running], prompts)[0]


def both(running: Running, plain: Running, prompts: Sequence[tuple[int, ...]]) -> tuple[Parts, Parts]:
    """Parts of drafted and of plain steps, measured in turn."""
    drafted, undrafted = _parts([running, plain], prompts)
    return drafted, undrafted


@torch.inference_mode()
def _parts(batches: Sequence[Running], prompts: Sequence[tuple[int, ...]]) -> list[Parts]:
    calls: list[_Call] = []
    with _standing(batches[0], prompts) as logits:
        views = [batch.look() for batch in batches]
        drafts = [batch.draft(view) for batch, view in zip(batches, views, strict=True)]
        for batch, view, drafted in zip(batches, views, drafts, strict=True):
            instant = _Instant(batch, batch.verify(view, drafted), logits)
            calls += [
                _Call(batch.look),
                _Call(partial(batch.draft, view)),
                _Call(partial(batch.verify, view, drafted)),
                _Call(partial(_host, instant, prompts), HOST_ROUNDS),
            ]
        found = _in_turn(calls, batches[0].rows.lengths.device)
    return [Parts(*found[at : at + 4]) for at in range(0, len(found), 4)]


@contextmanager
def _standing(running: Running, prompts: Sequence[tuple[int, ...]]) -> Iterator[torch.Tensor]:
    """Rows at the beginning of a round; the logits [rows, vocabulary] after the prompts."""
    size = running.rows.size
    together = max(1, PREFILL_TOKENS // max(map(len, prompts)))
    places = [[*range(size)][at : at + together] for at in range(0, size, together)]
    try:
        logits = [running.fill(some, [prompts[place] for place in some]) for some in places]
        yield torch.cat(logits)
    finally:
        for place in range(size):
            running.rows.leave(place)


class _Instant:
    """A batch whose steps take no time: what is left of a round is the host's."""

    def __init__(self, batch: Running, verified: Verified, logits: torch.Tensor) -> None:
        self.rows, self.rule, self.path = batch.rows, batch.rule, batch.path
        self.generator, self.first = batch.generator, batch.first
        outcome = verified.outcome.clone()
        self._kept = round(outcome[:, -1].float().mean().item())
        outcome[:, -1] = self._kept  # rows that all keep as many end together, after a known number of rounds
        self._done, self._logits = Round(Verified(outcome, verified.logits), None), logits

    def fill(self, places: list[int], prompts: list[tuple[int, ...]]) -> torch.Tensor:
        return self._logits[: len(prompts)]

    def round(self, clock: None, draws: None) -> Round:
        return self._done

    def tokens(self, rounds: int) -> int:
        """Of a row in so many rounds, after the prefill's token."""
        return 1 + rounds * (1 + self._kept)


def _host(instant: _Instant, prompts: Sequence[tuple[int, ...]]) -> None:
    """Decoding's own loop over HOST_ROUNDS rounds, waiting for the device included."""
    order = Order(instant.tokens(HOST_ROUNDS), frozenset(), None)
    decode(cast(Running, instant), prompts[: instant.rows.size], order)


@dataclass(frozen=True, slots=True)
class _Call:
    """What is timed. times: how often it does what is asked about."""

    of: Callable[[], object]
    times: int = 1


def _in_turn(calls: Sequence[_Call], device: torch.device) -> list[Part]:
    """Once each without counting, then a block of each and over again."""
    for call in calls:
        call.of()
    often = [CALLS if _block(call.of, 1, device)[0] < SLOW_S else 1 for call in calls]
    blocks = [[_block(call.of, n, device) for call, n in zip(calls, often, strict=True)] for _ in range(BLOCKS)]
    return [_part(mine, call.times) for call, mine in zip(calls, zip(*blocks, strict=True), strict=True)]


def _block(part: Callable[[], object], calls: int, device: torch.device) -> tuple[float, float]:
    """Seconds and CPU seconds of a call."""
    _wait(device)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        part()
    _wait(device)
    return (time.perf_counter() - wall) / calls, (time.process_time() - cpu) / calls


def _wait(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)


def _part(blocks: Sequence[tuple[float, float]], times: int) -> Part:
    walls = [wall / times for wall, _ in blocks]
    cpu = statistics.fmean(cpu for _, cpu in blocks) / times
    return Part(statistics.median(walls), statistics.fmean(walls), statistics.stdev(walls), cpu)


# ------------------------------------------------------------------------------------------------ the floor


@torch.inference_mode()
def work_of(running: Running, prompts: Sequence[tuple[int, ...]]) -> Work:
    """Of a pass over the last tokens of these prompts and their drafts."""
    target, rows = running.rows.target, running.rows.size
    tokens, itemsize = running.rule.length + 1, running.rows.hidden.itemsize
    config = target.text.config
    tables = {id(module.weight) for module in target.text.modules() if isinstance(module, torch.nn.Embedding)}
    mixtures = [module for module in target.text.modules() if type(module).__name__.endswith("TextExperts")]
    apart = tables | {id(weight) for module in mixtures for weight in module.parameters()}
    dense = [weight for weight in target.text.parameters() if id(weight) not in apart]
    head = target.head.weight
    looked_up = sum(module.embedding_dim for module in target.text.modules() if isinstance(module, torch.nn.Embedding))
    read = sum(weight.numel() for weight in dense) + head.numel() + rows * tokens * looked_up
    met = sum(weight.numel() for weight in dense if weight.dim() > 1) + head.numel()
    if mixtures:
        chosen = _chosen(running, prompts)
        for module, distinct in zip(mixtures, chosen, strict=True):
            one = sum(weight.numel() for weight in module.parameters()) / config.num_experts
            read, met = read + distinct * one, met + config.top_k_experts * one
    held = {
        kind: sum(min(len(prompt), target.layout.window) if kind == SLIDING else len(prompt) for prompt in prompts)
        for kind in target.layout.kinds
    }
    kept = sum(
        2 * size[0] * size[1] * held[kind]
        for size, kind in zip(target.layout.heads, target.layout.kinds, strict=True)
        if size
    )
    attention = sum(
        4 * config.num_attention_heads * layer.self_attn.head_dim * held[kind] * tokens
        for layer, kind in zip(target.text.layers, target.layout.kinds, strict=True)
    )
    return Work(float((read + kept) * itemsize), float(2 * met * rows * tokens + attention))


def _chosen(running: Running, prompts: Sequence[tuple[int, ...]]) -> list[float]:
    """Distinct experts of each mixture, in a pass run as it is written."""
    rows, experts = running.rows, Experts()
    with _standing(running, prompts), experts.attached(rows.target.text):
        view = running.look()
        drafted = running.draft(view)
        experts.begin()
        rows.cache.aim(view.at)
        rows.target.hidden(torch.cat([rows.last[:, None], drafted.tokens], 1), view.positions, view.masks, rows.cache)
        experts.end(range(rows.size), rows.size)
    told = experts.told()
    assert told is not None and len(routers(rows.target.text)) > 0  # a mixture has a router
    return cast(list[float], told["distinct_per_layer"])


@functools.cache
def copy_bandwidth(device: torch.device) -> float:
    """Bytes per second that a copy reads and writes, the best of five."""
    source = torch.ones(COPY_BYTES // 4, device=device)
    into = torch.empty_like(source)
    return 2 * COPY_BYTES / min(_block(lambda: into.copy_(source), 1, device)[0] for _ in range(6))


@functools.cache
def product_peak(device: torch.device, dtype: torch.dtype, threads: int) -> float:
    """Floating-point operations per second of a square matrix product, the best of five. threads: of a CPU."""
    side = SIDE.get(device.type, 4096)
    left = torch.ones(side, side, dtype=dtype, device=device)
    return float(2 * side**3 / min(_block(lambda: left @ left, 1, device)[0] for _ in range(6)))
