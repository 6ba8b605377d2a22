"""The reference engine, compiled, against Transformers on the demo pair with one thread, and against its own parts.

Compiling takes minutes the first time and is not timed. Ratios are medians over prompts that every arm decodes in turn;
beside wall time stands the CPU time, because a shared machine lets one wait and not the other.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from transformers.utils.logging import disable_progress_bar

from backends.base import Session
from backends.reference import Adapter as Reference
from backends.reference.costs import parts
from backends.reference.decoding import Order, Row, decode
from backends.reference.engine import Running
from backends.reference.session import ReferenceSession
from backends.transformers import Adapter as Transformers
from results.records import Draft, EngineConfig, Prompt, Request
from workloads.pairs import resolve
from workloads.prompts import load

K = 4
TOKENS, PROMPT_TOKENS = 96, 64
ROWS = 8
UNITS = 8
LEAST = {
    "plain, batch 1 / Transformers' generate": 1.5,
    f"k={K}, batch 1 / Transformers' assisted generation": 1.5,
    f"k={K}, batch {ROWS} / Transformers' assisted generation at batch 1": 3.0,
    f"k={K}, batch {ROWS} / what its parts measured alone predict": 0.9,
}
"""Tokens per second over tokens per second; below this it falls short."""
MTP = Draft("mtp", K)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds per token."""

    wall: float
    cpu: float


Arm = Callable[[int], Pace]
"""Decodes unit i."""


def measure() -> bool:
    """Print a line per promise; True if none falls short."""
    disable_progress_bar()
    pair = resolve("demo")
    config = EngineConfig(
        dtype="float32", device="cpu", threads=1, methods=("mtp",), max_context=PROMPT_TOKENS + TOKENS
    )
    with ExitStack() as stack:
        theirs = stack.enter_context(Transformers().open(pair, config))
        ours = stack.enter_context(Reference().open(pair, replace(config, options={"path": "compiled"})))
        assert isinstance(ours, ReferenceSession)
        prompts = _prompts(ours)
        batch = ours.running([prompt.token_ids or () for prompt in prompts[:ROWS]], Request(TOKENS, MTP))
        paces = _in_turn(
            {
                "theirs": _alone(theirs, prompts, None),
                "ours": _alone(ours, prompts, None),
                "theirs assisted": _alone(theirs, prompts, MTP),
                "ours drafted": _alone(ours, prompts, MTP),
                "batch": lambda _: _rounds(_decoded(batch, prompts)),
                "parts": lambda _: _alone_by_parts(batch, prompts),
            }
        )
    sides = [("theirs", "ours"), ("theirs assisted", "ours drafted"), ("theirs assisted", "batch"), ("parts", "batch")]
    held = True
    for (name, least), (slow, fast) in zip(LEAST.items(), sides, strict=True):
        pairs = [*zip(paces[slow], paces[fast], strict=True)]
        wall, cpu = (
            statistics.median(getattr(slower, clock) / getattr(faster, clock) for slower, faster in pairs)
            for clock in ("wall", "cpu")
        )
        held &= wall >= least
        print(
            f"{'holds' if wall >= least else 'FALLS SHORT':<12} reference engine, {name}: {wall:.2f}x tokens/s "
            f"({cpu:.2f}x by CPU time; at least {least}; {UNITS} prompts)"
        )
    return held


def _prompts(session: Session) -> list[Prompt]:
    sources = load("demo", limit=UNITS)
    encoded = [session.encode(source.text, chat=False, thinking=False).content[:PROMPT_TOKENS] for source in sources]
    return [
        Prompt(source.key, "demo", source.category, ids, None) for source, ids in zip(sources, encoded, strict=True)
    ]


def _in_turn(arms: Mapping[str, Arm]) -> dict[str, list[Pace]]:
    """Every arm on every unit, after one unit that is not counted."""
    for arm in arms.values():
        arm(0)
    paces: dict[str, list[Pace]] = {name: [] for name in arms}
    for unit in range(UNITS):
        for name, arm in arms.items():
            paces[name].append(arm(unit))
    return paces


def _alone(session: Session, prompts: Sequence[Prompt], draft: Draft | None) -> Arm:
    request = Request(TOKENS, draft, ignore_eos=True)

    def run(unit: int) -> Pace:
        cpu = time.process_time()
        (seen,) = session.generate([prompts[unit]], request)
        cpu = time.process_time() - cpu
        first, last = seen.arrivals[0], seen.arrivals[-1]
        wall = (last.ns - first.ns) / 1e9
        return Pace(wall / (last.tokens - first.tokens), cpu * wall / (last.ns / 1e9) / (last.tokens - first.tokens))

    return run


def _decoded(batch: Running, prompts: Sequence[Prompt]) -> tuple[list[Row], float]:
    """(rows, CPU seconds per second) of a batch that starts together."""
    cpu, wall = time.process_time(), time.perf_counter()
    rows = decode(
        batch, [prompt.token_ids or () for prompt in prompts[:ROWS]], Order(Request(TOKENS), frozenset(), None)
    )
    return rows, (time.process_time() - cpu) / (time.perf_counter() - wall)


def _rounds(decoded: tuple[list[Row], float]) -> Pace:
    """Over the rounds in which all rows were there."""
    rows, load_ = decoded
    last = min(len(row.arrivals) for row in rows) - 1
    seconds = (rows[0].arrivals[last].ns - rows[0].arrivals[0].ns) / 1e9
    tokens = sum(row.arrivals[last].tokens - row.arrivals[0].tokens for row in rows)
    return Pace(seconds / tokens, seconds * load_ / tokens)


def _alone_by_parts(batch: Running, prompts: Sequence[Prompt]) -> Pace:
    """Looking, drafting, verifying and the host's part, each timed alone; per token of the batch's own acceptance."""
    rows, _ = _decoded(batch, prompts)
    emitted = statistics.mean(seen.emitted for row in rows for seen in row.rounds[:-1])
    ids = [prompt.token_ids or () for prompt in prompts[:ROWS]]
    found = parts(batch, ids)
    tokens = ROWS * emitted
    return Pace(found.wall / tokens, found.cpu / tokens)
