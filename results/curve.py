"""What a profile says: acceptance at every draft length, from the rounds that decoding with it would take.

Acceptance length, rates and intervals are those of `results.acceptance`: over complete rounds, clustered by prompt.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from results.acceptance import pooled
from results.metrics import Ints, quantiles
from results.profile import Profile, rounds
from results.records import Round
from results.verdicts import Acceptance, AcceptanceOf, Percentiles

SCHEMA = 1
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Point:
    """One draft length."""

    draft_length: int
    acceptance: Acceptance | None
    """None where no round is complete."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A profile's verdict: the shape of `mtpbench profile --json`."""

    schema: int
    pair: str
    synthetic: bool
    """Random weights: the figures say nothing about the pair."""
    dtype: str
    device: str
    prompt_tokens: int | None
    """None: every prompt at its own length."""
    output_tokens: int
    prompts: int
    tokens: int
    """Of all continuations."""
    k_max: int
    confidence: float
    points: tuple[Point, ...]
    """By draft length, 1 to k_max."""


def curve(profile: Profile) -> Curve:
    """Acceptance at every draft length of a profile."""
    return Curve(
        schema=SCHEMA,
        pair=profile.pair,
        synthetic=profile.synthetic,
        dtype=profile.facts.dtype,
        device=profile.facts.device,
        prompt_tokens=profile.prompt_tokens,
        output_tokens=profile.output_tokens,
        prompts=len(profile.texts),
        tokens=sum(len(text.continuation) for text in profile.texts),
        k_max=profile.k_max,
        confidence=CONFIDENCE,
        points=tuple(Point(k, acceptance(profile, k)) for k in range(1, profile.k_max + 1)),
    )


def acceptance(profile: Profile, k: int) -> Acceptance | None:
    """At this draft length; None where no round is complete, so that nothing can be said."""
    walked = [rounds(text.accepted, k) for text in profile.texts]
    whole = [(i, kept) for i, taken in enumerate(walked) for kept in _with_room(taken, k)]
    if not whole:
        return None
    text, kept = np.array(whole, dtype=np.int64).T
    of_text = np.bincount(text, minlength=len(walked))
    lengths = 1 + np.bincount(text, weights=kept, minlength=len(walked))[of_text > 0] / of_text[of_text > 0]
    categories = np.array([each.prompt.category for each in profile.texts])[text]
    found = pooled(kept.astype(np.float64), np.ones(len(kept)), text, k, CONFIDENCE)
    return Acceptance(
        *found,
        rate=float(kept.mean()) / k,
        per_position=tuple(float((kept >= i).mean()) for i in range(1, k + 1)),
        rounds=len(kept),
        rounds_left_out=sum(map(len, walked)) - len(kept),
        per_request=Percentiles(float(lengths.mean()), *quantiles(lengths, 0.1, 0.5, 0.9)),
        by_category={
            name: _part(name, kept[categories == name], text[categories == name], k)
            for name in sorted(set(categories.tolist()))
        },
    )


def _with_room(taken: Sequence[Round], k: int) -> Iterator[int]:
    """Accepted drafts of the rounds that could have emitted k + 1 tokens before the end of the text."""
    left = sum(each.emitted for each in taken)
    for each in taken:
        if left > k:
            yield each.accepted
        left -= each.emitted


def _part(label: str, kept: Ints, text: Ints, k: int) -> AcceptanceOf:
    found = pooled(kept.astype(np.float64), np.ones(len(kept)), text, k, CONFIDENCE)
    return AcceptanceOf(label, *found, rounds=len(kept))
