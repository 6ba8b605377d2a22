"""Is the greedy output the target's own? Every divergence is found, and explained or not (METHOD section 5).

    identical        equal token ids and lengths
    tie              the two tokens' logits differ by no more than the measured numeric noise, `tolerance`
    batch-numerics   the undrafted target, given the same prefix as one prefill, itself chooses the speculative token
    unexplained      neither: a bug until shown otherwise
    unclassified     the runtime cannot score, or was not asked

After the first divergence the texts differ by right; from there on, every token whose regret exceeds the tolerance
must be one that the target chooses when replayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from results import controls, divergence
from results.arm import Arm
from results.certificate import Divergence, Equivalence, EquivalenceName, Regrets
from results.divergence import TextOf
from results.metrics import Floats
from results.records import CERTIFICATE
from results.scores import Scored

NOISE_QUANTILE = 0.999
TIE_FACTOR = 2.0
"""A tie is within this many times the noise: each of the two logits may be off by as much."""
NOISE_AT_MOST = 1.0
"""Half of all logits differ by less in any dtype and batch shape (rare outliers apart, which the quantile is for); by
more, and the engine decoded with other numbers than those that were scored, such as scaled logits."""


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
        if own is not None and forced is not None:
            with np.errstate(all="ignore"):  # a stranger's file may hold any number
                found.append(np.abs(own.logit - forced.logit[: len(own.logit)]))
    values = np.concatenate(found) if found else np.empty(0)
    values = values[np.isfinite(values)]
    if not len(values) or np.median(values) > NOISE_AT_MOST:
        return Noise(None, len(values))
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
    diverged: dict[int, Divergence] = {}
    for prompt, rows in compared.items():
        found = [
            divergence.of_text(arm, row, own[prompt], text_of)
            if text_only
            else divergence.of_ids(arm, plain, row, own[prompt], known.tolerance, text_of)
            for row in rows
        ]
        if worst := min((each for each in found if each), key=divergence.badness, default=None):
            diverged[prompt] = worst
    divergences = sorted(diverged.values(), key=divergence.badness)
    kinds = [each.kind for each in divergences]
    between = [control for each in undrafted if (control := controls.control(each, plain))]
    diverged_anywhere = set().union(*(control.diverged for control in between))
    scored = {place for rows in compared.values() for row in rows if (place := arm.place(row)) in arm.scores.forced}
    unscored = None if scored else _why_unscored(plain)
    verdict, reason = _verdict(len(compared), divergences, text_only, unscored)
    regrets = regrets_of([arm.scores.forced[place] for place in scored])
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
        frequency=controls.frequency(between, set(compared), set(diverged)),
        beyond_controls=len((set(diverged) & set().union(*(c.prompts for c in between))) - diverged_anywhere),
        divergences=tuple(divergences),
        sequences=len(arm.rows),
        scored=sum(arm.scores.passes.get(place, 0) for place in scored),
    )


def untested(reason: str) -> Equivalence:
    """The certificate of an arm whose output is not compared at all."""
    return Equivalence(
        "untested", reason, prompts=0, identical=0, tie=0, batch_numerics=0, unexplained=0, unclassified=0,
        max_regret=None, control_divergences=None,
    )  # fmt: skip


def _verdict(
    prompts: int, divergences: Sequence[Divergence], text_only: bool, unscored: str | None
) -> tuple[EquivalenceName, str]:
    """divergences: the worst first. unscored: why no output has scores; None where any has."""
    diverged = f"{len(divergences)} of {prompts} prompts diverge"
    if not prompts:
        return "untested", "no prompt was answered by both arms"
    if text_only:
        differing = f"; {len(divergences)} of {prompts} texts differ" if divergences else ""
        return "text-only", f"the runtime gives no token ids{differing}"
    if not divergences:
        return "identical", ""
    worst = divergences[0]
    alike = sum(each.kind == worst.kind for each in divergences)
    if worst.kind == "unexplained":
        return "unexplained", f"{alike} of {prompts} prompts: {worst.reason}"
    if worst.kind == "unclassified" and unscored:
        return "untested", f"{diverged}, and {unscored}, so a tie, batch numerics and a bug cannot be told apart"
    if worst.kind == "unclassified":
        return "untested", f"{alike} of {prompts} prompts: {worst.reason}"
    return "equivalent", f"{diverged}, all explained by the target's own numerics"


def _why_unscored(plain: Arm) -> str:
    trials = plain.evidence.trials_in(plain.cell_id, CERTIFICATE).tolist()
    failed = [plain.evidence.trials.failures[trial] for trial in trials if trial in plain.evidence.trials.failures]
    return f"they could not be scored ({failed[-1]})" if failed else "the runtime cannot score"


def regrets_of(scored: Sequence[Scored]) -> Regrets | None:
    """None where nothing was scored, or a token's regret is not known: then the worst is not known either."""
    values: Floats = np.concatenate([each.regret for each in scored]) if scored else np.empty(0)
    if not len(values) or np.isnan(values).any():
        return None
    p50, p99, p999 = (float(q) for q in np.quantile(values, (0.5, 0.99, 0.999), method="higher"))
    return Regrets(len(values), p50, p99, p999, float(values.max()))
