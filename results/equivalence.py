"""Is the greedy output the target's own? Every divergence is found, and explained or not (METHOD section 5).

    identical        equal token ids and lengths
    tie              the two tokens' logits differ by no more than the measured numeric noise, `tolerance`
    batch-numerics   the undrafted target, given the same prefix as one prefill, itself chooses the speculative token
    unexplained      neither: a bug until shown otherwise
    unclassified     the runtime cannot score, or was not asked

After the first divergence the texts differ by right; from there on, every token whose regret exceeds the tolerance
must be one that the target chooses when replayed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from results import controls
from results.arm import Arm
from results.certificate import Divergence, DivergenceKind, Equivalence, EquivalenceName, Regrets
from results.metrics import Floats
from results.records import CERTIFICATE
from results.scores import OfOutput, Scored

NOISE_QUANTILE = 0.999
TIE_FACTOR = 2.0
"""A tie is within this many times the noise: each of the two logits may be off by as much."""
MANTISSA_BITS = {"float32": 23, "bfloat16": 7, "float16": 10}
TEXT_SHOWN = 240
"""Characters of text kept before and after a divergence."""

Tokens = NDArray[np.int32]
TextOf = Callable[[int], str]
"""Row -> its text."""

_WORST_FIRST: tuple[DivergenceKind, ...] = ("unexplained", "unclassified", "batch-numerics", "tie")


@dataclass(frozen=True, slots=True)
class Noise:
    """How much logits of the plain arm differ between decoding and one prefill of the same tokens."""

    tolerance: float | None
    """In logits; None where nothing was scored both ways."""
    tokens: int


def noise(plain: Arm) -> Noise:
    """`TIE_FACTOR` x the `NOISE_QUANTILE` of |logit as decoded - logit teacher-forced|, over the plain arm's tokens."""
    found = []
    for row in plain.rows.tolist():
        own, forced = plain.scores.own.get(row), plain.scores.forced.get(plain.place(row))
        if own is not None and forced is not None and own.start == forced.start == 0:
            shared = min(len(own.tokens), len(forced.tokens))
            same = own.tokens[:shared] == forced.tokens[:shared]
            found.append(np.abs(own.logit[:shared] - forced.logit[:shared])[same])
    values = np.concatenate(found) if found else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return Noise(None, 0)
    return Noise(TIE_FACTOR * float(np.quantile(values, NOISE_QUANTILE, method="higher")), len(values))


def equivalence(arm: Arm, plain: Arm, undrafted: Sequence[Arm], text_of: TextOf) -> Equivalence | None:
    """The greedy certificate of a speculative arm; None where nothing of it was measured.

    undrafted: control arms (plain again, plain in another batch shape).
    """
    if not len(arm.rows):
        return None
    known = noise(plain)
    own = plain.outputs()
    compared = {prompt: rows for prompt, rows in arm.outputs().items() if prompt in own}
    text_only = not all(plain.is_ids(row) for rows in [*compared.values(), *own.values()] for row in rows)
    divergences: dict[int, Divergence] = {}
    for prompt, rows in compared.items():
        found = [
            _text_divergence(arm, row, own[prompt], text_of)
            if text_only
            else _divergence(arm, plain, row, own[prompt], known, text_of)
            for row in rows
        ]
        worst = min((each for each in found if each), key=lambda each: _WORST_FIRST.index(each.kind), default=None)
        if worst is not None:
            divergences[prompt] = worst
    kinds = [each.kind for each in divergences.values()]
    between = [control for each in undrafted if (control := controls.control(each, plain))]
    diverged_anywhere = set().union(*(control.diverged for control in between))
    scored = {place for rows in compared.values() for row in rows if (place := arm.place(row)) in arm.scores.forced}
    unscored = None if scored else _why_unscored(plain)
    verdict, reason = _verdict(len(compared), kinds, text_only, divergences, unscored)
    regrets = _regrets([arm.scores.forced[place] for place in scored])
    return Equivalence(
        verdict=verdict,
        reason=reason,
        prompts=len(compared),
        identical=len(compared) - len(kinds),
        tie=kinds.count("tie"),
        batch_numerics=kinds.count("batch-numerics"),
        unexplained=kinds.count("unexplained"),
        unclassified=kinds.count("unclassified"),
        max_regret=regrets.max if regrets else None,
        control_divergences=len(diverged_anywhere) if between else None,
        tolerance=known.tolerance,
        noise_tokens=known.tokens,
        regrets=regrets,
        controls=tuple(control.counted() for control in between),
        frequency=controls.frequency(between, set(compared), set(divergences)),
        beyond_controls=len(set(divergences) & set().union(*(c.prompts for c in between)) - diverged_anywhere),
        divergences=tuple(
            sorted(divergences.values(), key=lambda each: (_WORST_FIRST.index(each.kind), -(each.worst_regret or 0.0)))
        ),
        sequences=len(arm.rows),
        scored=sum(arm.scores.passes.get(place, 0) for place in scored),
    )


def _verdict(
    prompts: int,
    kinds: Sequence[DivergenceKind],
    text_only: bool,
    found: dict[int, Divergence],
    unscored: str | None,
) -> tuple[EquivalenceName, str]:
    if not prompts:
        return "untested", "no prompt was answered by both arms"
    if text_only:
        differing = f"; {len(kinds)} of {prompts} texts differ" if kinds else ""
        return "text-only", f"the runtime gives no token ids{differing}"
    if "unexplained" not in kinds and "unclassified" in kinds and unscored:
        ties = "so a tie, batch numerics and a bug cannot be told apart"
        return "untested", f"{len(kinds)} of {prompts} prompts diverge, and {unscored}, {ties}"
    for kind in ("unexplained", "unclassified"):
        if kind in kinds:
            first = next(each for each in found.values() if each.kind == kind)
            name: EquivalenceName = "unexplained" if kind == "unexplained" else "untested"
            return name, f"{kinds.count(kind)} of {prompts} prompts: {first.reason}"
    if kinds:
        return "equivalent", f"{len(kinds)} of {prompts} prompts diverge, all explained by the target's own numerics"
    return "identical", ""


def _why_unscored(plain: Arm) -> str:
    trials = plain.evidence.trials_in(plain.cell_id, CERTIFICATE).tolist()
    failed = [plain.evidence.trials.failures[trial] for trial in trials if trial in plain.evidence.trials.failures]
    return f"they could not be scored ({failed[-1]})" if failed else "the runtime cannot score"


# ----------------------------------------------------------------------------------------------- one divergence


def _divergence(
    arm: Arm, plain: Arm, row: int, references: Sequence[int], known: Noise, text_of: TextOf
) -> Divergence | None:
    """How one output leaves the plain output that it follows longest; None where it is one of them."""
    limit = arm.cell.output_tokens
    tokens = arm.tokens(row)[:limit]
    others = [(plain.tokens(other)[:limit], other) for other in references]
    reference, nearest = max(others, key=lambda other: _common(tokens, other[0]))
    position = _common(tokens, reference)
    if position == len(tokens) == len(reference):
        return None
    forced, plain_forced = arm.scores.forced.get(arm.place(row)), arm.scores.forced.get(plain.place(nearest))
    found = _placed(arm, row, position, tokens, reference)
    if position < min(len(tokens), len(reference)):
        found = _with_scores(found, forced, plain_forced, arm.cell.dtype)
        found = replace(found, replayed_token=arm.scores.replayed.get((arm.place(row), position)))
    found = _explained(found, known.tolerance)
    found = _with_rest(found, forced, arm.place(row), arm.scores.replayed, known.tolerance)
    return _with_text(found, text_of(nearest), text_of(row))


def _common(a: Tokens, b: Tokens) -> int:
    shared = min(len(a), len(b))
    differs = a[:shared] != b[:shared]
    return int(differs.argmax()) if differs.any() else shared


def _placed(arm: Arm, row: int, position: int, tokens: Tokens, reference: Tokens) -> Divergence:
    prompt = arm.evidence.prompts[int(arm.evidence.rows.prompt[row])]
    here, there = (int(ids[position]) if position < len(ids) else None for ids in (tokens, reference))
    return Divergence(prompt.key, prompt.category, position, "unclassified", "", there, here)


def _with_scores(found: Divergence, forced: Scored | None, plain_forced: Scored | None, dtype: str) -> Divergence:
    if forced is None or found.position >= len(forced.tokens):
        return found
    own = float(forced.logit[found.position])
    other: float | None = None
    if plain_forced is not None and found.position < len(plain_forced.tokens):
        other = float(plain_forced.logit[found.position])
    bits = MANTISSA_BITS.get(dtype)
    return replace(
        found,
        speculative_logit=own,
        plain_logit=other,
        margin=None if other is None else other - own,
        rounding=float(2.0 ** (np.floor(np.log2(abs(own))) - bits)) if bits and own and np.isfinite(own) else None,
    )


def _explained(found: Divergence, tolerance: float | None) -> Divergence:
    """The first divergence by itself."""
    where = f"token {found.position} of {found.prompt}"
    if found.speculative_token is None:
        return replace(found, kind="unexplained", reason=f"{where}: the output ends where the plain one goes on")
    if found.plain_token is None:
        return replace(found, kind="unexplained", reason=f"{where}: the output goes on where the plain one has ended")
    tokens = f"{found.speculative_token} instead of {found.plain_token}"
    if found.margin is None or not np.isfinite(found.margin):
        return replace(found, reason=f"{where} is {tokens}, and nothing was scored")
    margin = f"{where} is {tokens}, a margin of {found.margin:.2g}"
    if tolerance is not None and abs(found.margin) <= tolerance:
        return replace(found, kind="tie", reason=f"{margin}: within the noise of {tolerance:.2g}")
    if found.replayed_token is None:
        return replace(found, reason=f"{margin}; the target was not asked again")
    if found.replayed_token == found.speculative_token:
        return replace(
            found, kind="batch-numerics", reason=f"{margin}; given as one prefill, the target chooses it too"
        )
    return replace(found, kind="unexplained", reason=f"{margin}; the target chooses {found.replayed_token}")


def _with_rest(
    found: Divergence,
    forced: Scored | None,
    place: OfOutput,
    replayed: dict[tuple[OfOutput, int], int],
    tolerance: float | None,
) -> Divergence:
    """The regrets from the divergence on; any beyond the tolerance must be what the target chooses when replayed."""
    if forced is None or found.position >= len(forced.tokens):
        return found
    regret = np.where(np.isfinite(forced.regret), forced.regret, np.inf)
    worst = found.position + int(regret[found.position :].argmax())
    found = replace(found, worst_regret=float(regret[worst]), worst_position=worst)
    if found.kind == "unexplained":
        return found
    beyond = np.flatnonzero((regret > (tolerance or 0.0)) & (forced.tokens != forced.best))
    for position in sorted(beyond[beyond >= found.position].tolist(), key=lambda p: -regret[p]):
        choice, token = replayed.get((place, position)), int(forced.tokens[position])
        if choice is None:
            found = replace(found, kind="unclassified", reason=f"{found.reason}; token {position} was not asked again")
        elif choice != token:
            reason = f"token {position} of {found.prompt} is {token}, {regret[position]:.2g} below {choice}, which the "
            return replace(found, kind="unexplained", reason=f"{reason}target chooses after the same text")
    return found


# ------------------------------------------------------------------------------------------------------- text


def _text_divergence(arm: Arm, row: int, references: Sequence[int], text_of: TextOf) -> Divergence | None:
    """Where a runtime gives no ids: texts are compared, and a position counts characters."""
    texts = [text_of(other) for other in references]
    text = text_of(row)
    if text in texts:
        return None
    nearest = max(texts, key=lambda other: _common_text(text, other))
    prompt = arm.evidence.prompts[int(arm.evidence.rows.prompt[row])]
    position = _common_text(text, nearest)
    reason = f"the text of {prompt.key} differs from character {position} on"
    found = Divergence(prompt.key, prompt.category, position, "unclassified", reason, None, None)
    return _with_text(found, nearest, text)


def _with_text(found: Divergence, plain: str, speculative: str) -> Divergence:
    shared = _common_text(plain, speculative)
    return replace(
        found,
        before=plain[max(0, shared - TEXT_SHOWN) : shared],
        plain_text=plain[shared : shared + TEXT_SHOWN],
        speculative_text=speculative[shared : shared + TEXT_SHOWN],
    )


def _common_text(a: str, b: str) -> int:
    differs = (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
    return next(differs, min(len(a), len(b)))


def _regrets(scored: Sequence[Scored]) -> Regrets | None:
    values: Floats = np.concatenate([each.regret for each in scored]) if scored else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    p50, p99, p999 = (float(q) for q in np.quantile(values, (0.5, 0.99, 0.999), method="higher"))
    return Regrets(len(values), p50, p99, p999, float(values.max()))
