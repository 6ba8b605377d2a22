"""Losslessness certificates for tests of reports and face; `changes` replace any field of what is made."""

from dataclasses import replace
from typing import Any

from results.certificate import (
    EQUIVALENCE_ORDER,
    SAMPLING_ORDER,
    Control,
    DistributionTest,
    Divergence,
    DivergenceKind,
    Equivalence,
    Frequency,
    Regrets,
    RunCertificate,
    SamplingCertificate,
    SamplingName,
)
from results.verdicts import CellVerdict

REASONS: dict[DivergenceKind, str] = {
    "tie": "a margin of 0.031: within the noise of 0.12",
    "batch-numerics": "a margin of 0.25; given as one prefill, the target chooses it too",
    "unexplained": "a margin of 1.8; the target chooses 42",
    "unclassified": "and nothing was scored",
}
MARGINS: dict[DivergenceKind, float | None] = {
    "tie": 0.031, "batch-numerics": 0.25, "unexplained": 1.75, "unclassified": None,
}  # fmt: skip


def divergence(kind: DivergenceKind = "tie", number: int = 0, **changes: Any) -> Divergence:
    """One divergence, number `number` of its kind."""
    margin = MARGINS[kind]
    scored = kind != "unclassified"
    made = Divergence(
        prompt=f"code-{number:03d}",
        category="source code",
        position=17 + number,
        kind=kind,
        reason=f"token {17 + number} of code-{number:03d} is 311 instead of 42, {REASONS[kind]}",
        plain_token=42,
        speculative_token=311,
        plain_logit=14.5 if margin is not None else None,
        speculative_logit=14.5 - margin if margin is not None else None,
        margin=margin,
        replayed_token={"batch-numerics": 311, "unclassified": None}.get(kind, 42),
        rounding=0.0625 if scored else None,
        worst_regret=margin,
        worst_position=(17 + number) if scored else None,
        before="def greet(name):\n    return ",
        plain_text='"Hello, " + name\n\n\ndef main():\n',
        speculative_text='f"Hello, {name}"\n\n\nif __name__',
    )
    return replace(made, **changes)


def equivalence(*, ties: int = 0, batch: int = 0, unexplained: int = 0, unclassified: int = 0,
                **changes: Any) -> Equivalence:  # fmt: skip
    """The greedy certificate of 20 prompts, so many of which diverge in each class; all identical by default."""
    kinds: list[tuple[DivergenceKind, int]] = [
        ("unexplained", unexplained), ("unclassified", unclassified), ("batch-numerics", batch), ("tie", ties),
    ]  # fmt: skip
    diverged = ties + batch + unexplained + unclassified
    verdict = (
        "unexplained" if unexplained else "untested" if unclassified else "equivalent" if diverged else "identical"
    )
    reasons = {
        "unexplained": f"{unexplained} of 20 prompts diverge unexplained",
        "untested": f"{unclassified} of 20 prompts diverge and the runtime cannot score",
        "equivalent": f"{diverged} of 20 prompts diverge, all explained",
        "identical": "",
    }
    worst = 1.75 if unexplained else 0.25 if batch else 0.031 if ties else 1.9e-06
    made = Equivalence(
        verdict=verdict,
        reason=reasons[verdict],
        prompts=20,
        identical=20 - diverged,
        tie=ties,
        batch_numerics=batch,
        unexplained=unexplained,
        unclassified=unclassified,
        max_regret=worst,
        control_divergences=min(1, diverged),
        tolerance=0.125 if diverged else 2.1e-05,
        noise_tokens=1900,
        regrets=Regrets(1920, 0.0, 0.0, min(0.031, worst), worst),
        controls=(Control("again", 20, 0), Control("batch-shape", 20, min(1, diverged))),
        frequency=Frequency("batch-shape", 20, diverged, 1, 0.11 if diverged < 6 else 0.004, 0.3) if diverged else None,
        beyond_controls=max(0, diverged - 1),
        divergences=tuple(divergence(kind, number) for kind, n in kinds for number in range(n)),
        sequences=60,
        scored=20,
    )
    return replace(made, **changes)


def untested(reason: str = "the run was stopped before its certificate") -> Equivalence:
    """A greedy cell that nothing was compared of."""
    nothing: dict[str, Any] = dict.fromkeys(("max_regret", "tolerance", "regrets", "control_divergences"))
    zero: dict[str, Any] = dict.fromkeys(("prompts", "identical", "noise_tokens", "sequences", "scored"), 0)
    return equivalence(**nothing, **zero, verdict="untested", reason=reason, controls=())


def sampling(verdict: SamplingName = "not distinguishable", **changes: Any) -> SamplingCertificate:
    """The sampled certificate of 240 draws, with both controls."""
    biased, tested = verdict == "biased", verdict != "untested"
    p = 3.2e-19 if biased else 0.31
    tests = (
        DistributionTest("surprisal", "speculative", "draft positions", 9_034, 9.1 if biased else -1.2, p / 4, p),
        DistributionTest("uniformity", "speculative", "draft positions", 9_034, 24.0, 0.24, 0.72),
        DistributionTest("surprisal", "speculative", "bonus positions", 3_000, 0.4, 0.69, 1.0),
        DistributionTest("surprisal", "plain", "all positions", 12_000, 0.9, 0.37, 0.74),
        DistributionTest("surprisal", "biased", "all positions", 12_000, 11.0, 1e-27, 2e-27),
    )
    reasons: dict[SamplingName, str] = {
        "biased": "tokens at draft positions are too probable under the target (z = +9.1), p = 3e-19",
        "untested": "the runtime cannot score",
        "not distinguishable": "",
    }  # fmt: skip
    made = SamplingCertificate(
        verdict=verdict,
        reason=reasons[verdict],
        level=0.01,
        p=p if tested else None,
        power_at=0.08 if tested else None,
        n=12_034 if tested else 0,
        draws=240 if tested else 0,
        tests=tests if tested else (),
        negative_control=True if tested else None,
        positive_control=True if tested else None,
        positive_temperature=1.3 if tested else None,
    )
    return replace(made, **changes)


def run_certificate(cells: list[CellVerdict]) -> RunCertificate:
    """The worst verdict of these cells."""
    greedy = [c.equivalence for c in cells if c.equivalence]
    sampled = [c.sampling for c in cells if c.sampling]
    reasons = [f"k = {c.draft_length}: {found.reason}" for c in cells for found in (c.equivalence, c.sampling)
               if found and found.reason]  # fmt: skip
    return RunCertificate(
        equivalence=min((e.verdict for e in greedy), key=EQUIVALENCE_ORDER.index, default=None),
        sampling=min((s.verdict for s in sampled), key=SAMPLING_ORDER.index, default=None),
        reasons=tuple(reasons),
    )
