"""What a round's parts cost, each measured alone.

t is a target pass of k + 1 tokens a row, d a draft step, o what the host adds to a round (METHOD section 2). None of
them comes from rounds here, so that a prediction made of them can be set beside the rounds' own time. Costs of drafted
and of plain steps are measured block by block in turn: a machine is not equally fast from one second to the next.
Where rows take turns, every prefill of a prompt that joins lets the others wait; what that costs is measured too.
"""

import copy
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import cast

import torch

from backends.reference.alone import Call, Part, in_turn, standing
from backends.reference.decoding import Order, decode
from backends.reference.engine import Round, Running
from backends.reference.floor import copy_bandwidth, product_peak, work_of
from backends.reference.steps import Verified
from results.records import Json, Request

HOST_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Parts:
    """Of one round. drafting: all k steps; 0 where there are none."""

    look: Part
    drafting: Part
    verify: Part
    host: Part
    joins: tuple[Part, ...] = ()
    """Of one prompt that joins, and of two together, up to their first tokens; empty for a single row."""

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
    blocks: int
    """Over which medians and deviations are."""
    join_ms: float | None
    """Of a prompt that joins while others wait: its prefill up to its first token. None for a single row."""
    join_spread_ms: float | None
    join_further_ms: float | None
    """Of each further prompt that joins with it."""
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
    batches = [running] if plain is running else [running, plain]
    each = _parts(batches, prompts)
    found, undrafted = each[0], each[-1]
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
        blocks=found.verify.blocks,
        join_ms=1e3 * found.joins[0].median if found.joins else None,
        join_spread_ms=1e3 * found.joins[0].spread if found.joins else None,
        join_further_ms=1e3 * max(0.0, found.joins[1].median - found.joins[0].median) if found.joins else None,
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


@torch.inference_mode()
def _parts(batches: Sequence[Running], prompts: Sequence[tuple[int, ...]]) -> list[Parts]:
    """Of these batches, which share their rows, measured in turn; joins of the first."""
    first = batches[0]
    with standing(first, prompts) as logits:
        views = [batch.look() for batch in batches]
        drafts = [batch.draft(view) for batch, view in zip(batches, views, strict=True)]
        calls: list[Call] = []
        for batch, view, drafted in zip(batches, views, drafts, strict=True):
            instant = _Instant(batch, batch.verify(view, drafted), logits)
            calls += [
                Call(batch.look),
                Call(partial(batch.draft, view)),
                Call(partial(batch.verify, view, drafted)),
                Call(partial(_host, instant, prompts), HOST_ROUNDS),
            ]
        if first.rows.size > 1:
            calls += [Call(partial(_join, first, prompts[:number])) for number in (1, 2)]
        found = in_turn(calls, first.rows.lengths.device)
    steps, joins = found[: 4 * len(batches)], tuple(found[4 * len(batches) :])
    return [
        Parts(look, drafting, verify, host, joins)
        for look, drafting, verify, host in zip(*(steps[part::4] for part in range(4)), strict=True)
    ]


def _join(running: Running, prompts: Sequence[tuple[int, ...]]) -> None:
    """As prompts join while others decode, waiting for the device included."""
    logits = running.fill([*range(len(prompts))], [*prompts])
    running.first(logits, running.generator(0)).tolist()
    running.rows.active.zero_()  # stand still again


class _Instant:
    """A batch whose steps take no time: what is left of a round is the host's."""

    def __init__(self, batch: Running, verified: Verified, logits: torch.Tensor) -> None:
        self.rows, self.rule, self.path = copy.copy(batch.rows), batch.rule, batch.path
        for name in ("active", "lengths", "written", "last"):  # decoding leaves them; the others' are to stay
            setattr(self.rows, name, getattr(batch.rows, name).clone())
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
    order = Order(Request(instant.tokens(HOST_ROUNDS)), frozenset(), None)
    decode(cast(Running, instant), prompts[: instant.rows.size], order)
