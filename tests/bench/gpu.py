"""The reference engine at real sizes with random weights, batch 1: against the bandwidth floor and against the formula.

Absolute figures come from a GPU only, with its name. Without one the lines say that they were skipped.
"""

from dataclasses import dataclass

import torch

from backends.base import Session
from backends.reference import Adapter, costs
from backends.reference.session import ReferenceSession
from results.metrics import timing
from results.records import Draft, EngineConfig, Prompt, Request
from workloads.pairs import resolve

K, FORCED_LENGTH = 4, 3
PROMPT_TOKENS, TOKENS = 512, 128
REPEATS = 5
OF_THE_FLOOR = {"random:31B": 0.60, "random:E4B": 0.40}
"""At least so much of the bandwidth floor in plain decoding."""
OF_THE_FORMULA = 0.85


@dataclass(frozen=True, slots=True)
class Found:
    """Of one pair."""

    of_the_floor: float
    """Floor of a plain pass / plain time per token."""
    plain_ms: float
    measured: float
    predicted: float


def measure() -> bool:
    """Print two lines per pair; True if none falls short, or nothing could be measured."""
    if not torch.cuda.is_available():
        print(f"{'skipped':<12} {', '.join(OF_THE_FLOOR)} against bandwidth floor and formula: no CUDA device here")
        return True
    print(f"{'':<12} on {torch.cuda.get_device_name()}")
    held = True
    for name, least in OF_THE_FLOOR.items():
        found = look(name, "bfloat16", "cuda", "compiled+graphs")
        floor, share = found.of_the_floor, found.measured / found.predicted
        held &= floor >= least and share >= OF_THE_FORMULA
        print(
            f"{_word(floor >= least)} {name}, plain, batch 1: {floor:.0%} of the bandwidth floor "
            f"({found.plain_ms:.2f} ms a token; at least {least:.0%})"
        )
        print(
            f"{_word(share >= OF_THE_FORMULA)} {name}, k={K}, acceptance length forced to {FORCED_LENGTH}: "
            f"{found.measured:.2f}x, {share:.0%} of the formula's {found.predicted:.2f}x "
            f"(at least {OF_THE_FORMULA:.0%})"
        )
    return held


def look(name: str, dtype: str, device: str, path: str) -> Found:
    """Plain and drafted decoding of one prompt in turn, medians; costs by the same session."""
    config = EngineConfig(
        dtype=dtype,
        device=device,
        threads=None,
        methods=("mtp",),
        max_context=PROMPT_TOKENS + TOKENS,
        options={"path": path, "acceptance_length": FORCED_LENGTH},
    )
    prompt = Prompt("made", "made", "made", tuple(range(1000, 1000 + PROMPT_TOKENS)), None)
    with Adapter().open(resolve(name), config) as session:
        assert isinstance(session, ReferenceSession)
        plain, drafted = (Request(TOKENS, draft, ignore_eos=True) for draft in (None, Draft("mtp", K)))
        times = [(_tpot(session, prompt, plain), _tpot(session, prompt, drafted)) for _ in range(REPEATS + 1)][1:]
        plain_s, drafted_s = (sorted(arm)[REPEATS // 2] for arm in zip(*times, strict=True))
        ids = [prompt.token_ids or ()]
        without, with_drafts = (session.running(ids, request) for request in (plain, drafted))
        floor = costs.measure(without, without, ids).floor_ms / 1e3
        cost = costs.measure(with_drafts, without, ids)
    round_ms = K * (cost.d_ms or 0) + cost.t_ms + cost.o_ms
    predicted = FORCED_LENGTH * (cost.t_1_ms + cost.o_1_ms) / round_ms
    return Found(floor / plain_s, 1e3 * plain_s, plain_s / drafted_s, predicted)


def _tpot(session: Session, prompt: Prompt, request: Request) -> float:
    """Seconds."""
    seen = timing(session.generate([prompt], request), eos=())  # what random weights take for an end is none
    assert seen is not None
    return seen.decode_ns / seen.decode_tokens / 1e9


def _word(held: bool) -> str:
    return f"{'holds' if held else 'FALLS SHORT':<12}"
