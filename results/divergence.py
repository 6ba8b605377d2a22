"""One output that leaves the plain one: where, and what explains it (METHOD section 5)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from results.arm import Arm
from results.certificate import Divergence, DivergenceKind
from results.scores import OfOutput, Scored

MANTISSA_BITS = {"float32": 23, "bfloat16": 7, "float16": 10}
TEXT_SHOWN = 240
"""Characters of text kept before and after a divergence."""

Tokens = NDArray[np.int32]
TextOf = Callable[[int], str]
"""Row -> its text."""

_WORST_FIRST: tuple[DivergenceKind, ...] = ("unexplained", "unclassified", "batch-numerics", "tie")


def badness(found: Divergence) -> tuple[int, float]:
    """Sorts divergences, the worst first: by class, then by regret."""
    return _WORST_FIRST.index(found.kind), -(found.worst_regret or 0.0)


def of_ids(
    arm: Arm, plain: Arm, row: int, references: Sequence[int], tolerance: float | None, text_of: TextOf
) -> Divergence | None:
    """How an output leaves the plain output that it follows longest, up to the asked length; None where it is one.

    references: rows of the distinct plain outputs. tolerance: of a tie, in logits; None where it was not measured.
    """
    output = arm.evidence.rows.output
    if any(output[row] == output[other] for other in references):  # most are, and need no look at their tokens
        return None
    limit = arm.cell.output_tokens
    tokens = arm.tokens(row)[:limit]
    others = [(plain.tokens(other)[:limit], other) for other in references]
    reference, nearest = max(others, key=lambda other: (_common(tokens, other[0]), len(other[0]) == len(tokens)))
    position = _common(tokens, reference)
    if position == len(tokens) == len(reference):
        return None
    place, scores = arm.place(row), arm.scores
    forced, plain_forced = scores.forced.get(place), scores.forced.get(plain.place(nearest))
    found = _placed(arm, row, position, tokens, reference)
    if position < min(len(tokens), len(reference)):
        found = replace(found, replayed_token=scores.replayed.get((place, position)))
        found = _with_logits(found, forced, plain_forced, arm.cell.dtype)
    found = _explained(found, tolerance)
    found = _with_rest(found, forced, len(tokens), place, scores.replayed, tolerance)
    return _with_text(found, text_of(nearest), text_of(row))


def of_text(arm: Arm, row: int, references: Sequence[int], text_of: TextOf) -> Divergence | None:
    """Where a runtime gives no ids: texts are compared, and a position counts characters.

    What a round emitted beyond the asked length cannot be cut off without ids: where both outputs reach that length,
    they are compared as far as both go.
    """
    tokens, limit = arm.evidence.rows.n_tokens, arm.cell.output_tokens
    texts = [text_of(other) for other in references]
    text = text_of(row)
    for reference, other in zip(references, texts, strict=True):
        at_limit = tokens[row] >= limit and tokens[reference] >= limit
        if text == other or (at_limit and _common_text(text, other) == min(len(text), len(other))):
            return None
    nearest = max(texts, key=lambda other: _common_text(text, other))
    prompt = arm.evidence.prompts[int(arm.evidence.rows.prompt[row])]
    position = _common_text(text, nearest)
    reason = f"the text of {prompt.key} differs from character {position} on"
    found = Divergence(prompt.key, prompt.category, position, "unclassified", reason, None, None)
    return _with_text(found, nearest, text)


def _common(a: Tokens, b: Tokens) -> int:
    shared = min(len(a), len(b))
    differs = a[:shared] != b[:shared]
    return int(differs.argmax()) if differs.any() else shared


def _common_text(a: str, b: str) -> int:
    differs = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(differs, min(len(a), len(b)))


def _placed(arm: Arm, row: int, position: int, tokens: Tokens, reference: Tokens) -> Divergence:
    prompt = arm.evidence.prompts[int(arm.evidence.rows.prompt[row])]
    here, there = (int(ids[position]) if position < len(ids) else None for ids in (tokens, reference))
    return Divergence(prompt.key, prompt.category, position, "unclassified", "", there, here)


def _with_logits(found: Divergence, forced: Scored | None, plain_forced: Scored | None, dtype: str) -> Divergence:
    """Both tokens' logits after the text that both outputs share, each from the pass over its own output."""
    own, other = (
        float(scored.logit[found.position]) if scored is not None else math.nan for scored in (forced, plain_forced)
    )
    bits = MANTISSA_BITS.get(dtype)
    return replace(
        found,
        speculative_logit=_finite(own),
        plain_logit=_finite(other),
        margin=_finite(other - own),
        rounding=2.0 ** (math.floor(math.log2(abs(own))) - bits) if bits and own and math.isfinite(own) else None,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _explained(found: Divergence, tolerance: float | None) -> Divergence:
    """The first divergence by itself."""
    where = f"token {found.position} of {found.prompt}"
    if found.speculative_token is None:
        return replace(found, kind="unexplained", reason=f"{where}: the output ends where the plain one goes on")
    if found.plain_token is None:
        return replace(found, kind="unexplained", reason=f"{where}: the output goes on where the plain one has ended")
    told = f"{where} is {found.speculative_token} instead of {found.plain_token}"
    if found.margin is not None:
        told += f", a margin of {found.margin:.2g}"
        if tolerance is not None and abs(found.margin) <= tolerance:
            return replace(found, kind="tie", reason=f"{told}: within the noise of {tolerance:.2g}")
    if found.replayed_token is None:
        unknown = "the target was not asked again" if found.margin is not None else "and nothing was scored"
        return replace(found, reason=f"{told}{';' if found.margin is not None else ','} {unknown}")
    if found.replayed_token == found.speculative_token:
        return replace(found, kind="batch-numerics", reason=f"{told}; given as one prefill, the target chooses it too")
    return replace(found, kind="unexplained", reason=f"{told}; the target chooses {found.replayed_token}")


def _with_rest(
    found: Divergence,
    forced: Scored | None,
    length: int,
    place: OfOutput,
    replayed: dict[tuple[OfOutput, int], int],
    tolerance: float | None,
) -> Divergence:
    """The regrets from the divergence on; a token after it beyond the tolerance must be one that a replay chooses.

    length: tokens of the output that are compared. A regret that is not known counts as beyond.
    """
    if found.position >= length:
        return found
    if forced is None:
        known = found.kind in ("unexplained", "unclassified")
        return (
            found if known else replace(found, kind="unclassified", reason=f"{found.reason}; the rest was not scored")
        )
    regret = np.where(np.isnan(forced.regret), -1.0, forced.regret)[:length]
    worst = found.position + int(regret[found.position :].argmax())
    if regret[worst] >= 0:
        found = replace(found, worst_regret=float(regret[worst]), worst_position=worst)
    if found.kind == "unexplained":
        return found
    beyond = ((regret < 0) | (regret > (tolerance or 0.0))) & (forced.tokens != forced.best)[:length]
    beyond[: found.position + 1] = False
    unasked = []
    for position in sorted(np.flatnonzero(beyond).tolist(), key=lambda p: -regret[p]):
        choice, token = replayed.get((place, position)), int(forced.tokens[position])
        if choice is None:
            unasked.append(position)
        elif choice != token:
            below = f"{regret[position]:.2g} below" if regret[position] >= 0 else "and not"
            reason = f"token {position} of {found.prompt} is {token}, {below} {choice}, which the target chooses"
            return replace(found, kind="unexplained", reason=f"{reason} after the same text")
    if unasked:
        reason = f"{found.reason}; the target was not asked again about {_tokens(unasked)}"
        return replace(found, kind="unclassified", reason=reason)
    return found


def _tokens(positions: Sequence[int]) -> str:
    """`token 7 and 2 more`."""
    return f"token {positions[0]}" + (f" and {len(positions) - 1} more" if len(positions) > 1 else "")


def _with_text(found: Divergence, plain: str, speculative: str) -> Divergence:
    shared = _common_text(plain, speculative)
    return replace(
        found,
        before=plain[max(0, shared - TEXT_SHOWN) : shared],
        plain_text=plain[shared : shared + TEXT_SHOWN],
        speculative_text=speculative[shared : shared + TEXT_SHOWN],
    )
