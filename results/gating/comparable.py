"""Whether two runs may be gated against each other: what differs in how they came about, and what of it forbids that.

Different hardware, runtime settings or prompts change speed by themselves, so that a verdict would be about them. What
is being gated, versions and model files, may differ, and is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from results.errors import UsageError
from results.gating.observed import Observed, Run
from results.origin import differences, visible

Kind = Literal["hardware", "settings", "prompts"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_HARDWARE = ("provenance.cpu.", "provenance.limits.cpus:")
_HARDWARE_NOT = ("provenance.cpu.mhz_highest:", "provenance.cpu.governor:")
_SETTINGS = (
    "provenance.environment.",
    *(f"sweep.{key}" for key in ("backend.", "backend:", "threads:", "top_k:", "top_p:", "ignore_eos:")),
)
_PROMPTS = ("sweep.raw:", "sweep.thinking:", "workload.raw:", "workload.thinking:")
_SHOWN = 3
"""Differences that a refusal quotes."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs."""

    kind: Kind | None
    """None: it may."""
    text: str


def compared(baseline: Run, now: Run) -> Iterator[Difference]:
    """Everything that differs between two runs; A is the baseline, B the run that is gated."""
    for text in differences(baseline.verdict.run, now.verdict.run, (baseline.origin, now.origin)):
        yield Difference(_kind(text, baseline, now), text)
    yield from _graphics(baseline, now)


def same_prompts(now: Observed, baseline: Observed) -> bool:
    """At least half of the smaller cell's units hold the same prompts; true where either has none to compare."""
    a, b = ({*cell.tpot} or {*cell.speedup} or {*cell.drafts} for cell in (now, baseline))
    return not a or not b or 2 * len(a & b) >= min(len(a), len(b))


def refuse(found: Sequence[Difference], allowed: Sequence[str], name: str) -> None:
    """Raise UsageError where something of a kind differs that is not allowed. name: of the baseline."""
    for kind in KINDS:
        texts = [one.text for one in found if one.kind == kind]
        if texts and kind not in allowed:
            more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
            told = visible(
                f"{name} (A) and the run that is gated (B) differ in {kind}: {'; '.join(texts[:_SHOWN])}{more}"
            )
            raise UsageError(f"{told}; measure both alike, or accept it with --allow {kind}")


def _kind(text: str, baseline: Run, now: Run) -> Kind | None:
    if text.startswith(_HARDWARE) and not text.startswith(_HARDWARE_NOT):
        return "hardware"
    if text.startswith(_SETTINGS):
        return "settings"
    if text.startswith(_PROMPTS):
        return "prompts"
    engines = [*baseline.origin.engines.keys() & now.origin.engines.keys()]
    if any(text.startswith(f"{engine}.device:") for engine in engines):
        return "hardware"
    if any(text.startswith((f"{engine}.threads:", f"{engine}.dtype:")) for engine in engines):
        return "settings"
    return None


def _graphics(baseline: Run, now: Run) -> Iterator[Difference]:
    """GPUs by model and memory: a driver is a version."""
    here, there = (_gpus(run.verdict.run) for run in (baseline, now))
    if here != there:
        named = [", ".join(str(name) for name, _ in gpus) or "none" for gpus in (here, there)]
        yield Difference("hardware", f"GPUs: {named[0]} in A, {named[1]} in B")


def _gpus(facts: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    provenance = facts.get("provenance")
    gpus = provenance.get("gpus") if isinstance(provenance, dict) else None
    return [(gpu.get("name"), gpu.get("memory_bytes")) for gpu in gpus or () if isinstance(gpu, dict)]
