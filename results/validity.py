"""May a cell's figures be believed? (METHOD section 4.)

Contradicting evidence makes it `invalid`, absent evidence `unverified`; a cell that gave nothing, or whose
runtime had to be given up before the end, has `failed`, and one that was put aside, or never reached, is `skipped`.
"""

from collections.abc import Iterator, Mapping

from results import checks
from results.arm import Arm
from results.metrics import occurring
from results.records import WARMUP
from results.verdicts import Status

REFUSED = "refused: "
"""How the failure of a call begins that was not made, because its arm or its engine had been given up."""


def status(speculative: Arm, plain: Arm | None, found: Mapping[str, str]) -> tuple[Status, str]:
    """The status of a speculative cell beside its plain arm, and the reason in one line (empty where it is ok).

    found: its `findings`, the first of which makes it invalid.
    """
    if speculative.cell.skipped is not None:
        return "skipped", speculative.cell.skipped
    for arm in (speculative, plain):
        if arm is not None and (failure := why_failed(arm)) is not None:
            return "failed", failure if arm is speculative else f"the plain arm: {failure}"
    if plain is None or not all(len(arm.evidence.trials_in(arm.cell_id, arm.main)) for arm in (speculative, plain)):
        return "skipped", "not measured before the run ended"
    if found:
        return "invalid", next(iter(found.values()))
    if not len(speculative.revealed) and not len(speculative.counted):
        return "unverified", "the runtime reveals neither rounds nor counts of drafts"
    if not speculative.rounds.drafted.any() and not len(speculative.counted):
        return "unverified", "no generation went on to a round"
    return "ok", ""


def findings(speculative: Arm, plain: Arm) -> Iterator[tuple[str, str]]:
    """(check, reason) for everything that contradicts a cell, its own first."""
    for check in checks.OF_SPECULATIVE:
        if reason := check(speculative):
            yield check.__name__, reason
    for check in checks.OF_PLAIN:
        if reason := check(plain):
            yield check.__name__, f"the plain arm is no baseline: {reason}"
    for check in checks.OF_EITHER:
        if reason := check(speculative) or check(plain):
            yield check.__name__, reason
    if reason := checks.prompts_differ(speculative, plain):
        yield checks.prompts_differ.__name__, reason


def why_failed(arm: Arm) -> str | None:
    """Why an arm has nothing but failures, or was given up in the end; None otherwise.

    Where it came to no measured trial, its warm-up or its launch may have failed.
    """
    evidence = arm.evidence
    measured = evidence.trials_in(arm.cell_id, arm.main)
    trials = measured if len(measured) else evidence.trials_in(arm.cell_id, WARMUP)
    failures = [evidence.trials.failures.get(trial) for trial in trials.tolist()]
    if failures:
        last = failures[-1] or ""
        return last if all(failures) or last.startswith(REFUSED) else None
    launches = [
        launch
        for launch in evidence.launches.values()
        if (launch.backend, launch.pair) == (arm.cell.backend, arm.cell.pair)
        and launch.engine.draft in (None, arm.cell.draft)
    ]
    failure = launches[-1].failure if launches else None
    return f"{failure.kind}: {failure.message}" if failure else None


def unfit(plain: Arm) -> str:
    """Why a plain arm cannot stand for plain decoding; empty where it can."""
    if plain.cell.skipped is not None:
        return plain.cell.skipped
    if plain.timing is None:
        return why_failed(plain) or "plain decoding was not timed"
    if is_synthetic(plain):
        return "synthetic: random weights or random prompts"
    return next((reason for check in (*checks.OF_PLAIN, *checks.OF_EITHER) if (reason := check(plain))), "")


def is_synthetic(arm: Arm) -> bool:
    """Forced acceptance, random weights, or prompts of random ids."""
    evidence = arm.evidence
    prompts = occurring(evidence.rows.prompt[arm.rows])
    return arm.cell.synthetic or any(evidence.prompts[prompt].synthetic for prompt in prompts) or is_forced(arm)


def is_forced(arm: Arm) -> bool:
    """The engine says that it kept drafts whatever the target said: the output cannot be the target's own."""
    forced = [row for row, said in arm.evidence.extras.said.items() if said.get("synthetic") is True]
    return not set(forced).isdisjoint(arm.rows.tolist())


def units_unlike_instrumented(arm: Arm) -> tuple[int, int]:
    """(units, of how many): where the headline output is not that of the instrumented pass of the same arm."""
    headline, instrumented = arm.both_passes
    unit = arm.evidence.trials.unit[arm.evidence.rows.trial]
    differs = arm.evidence.rows.output[headline] != arm.evidence.rows.output[instrumented]
    return len(occurring(unit[headline[differs]])), len(occurring(unit[headline]))
