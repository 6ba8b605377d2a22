"""Every pair in every backend of a sweep: the model files that fit the runtime, or why there are none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backends import discover, fit
from backends.base import Capabilities
from harness.sweep import Sweep
from results.errors import UsageError
from results.records import Pair
from workloads.pairs import fitting


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair as one backend would load it."""

    backend: str
    able: Capabilities
    pair: Pair
    misfit: str | None = None
    """Why this backend cannot load this pair; None where nothing speaks against it."""
    draft_lengths: tuple[int, ...] | None = None
    """The only draft lengths that the pair's files allow here; None: any."""
    unfit: Mapping[str, str] = field(default_factory=dict)
    """Draft method -> why this pair's drafter cannot draft so: as far as its files are here."""


def candidates(sweep: Sweep) -> Iterator[Candidate]:
    """In the order of the sweep: backends, and in each the pairs. Raises UsageError for a name that is none."""
    for name in sweep.backends:
        backend = discover.load(name)
        able, options = backend.capabilities, sweep.backend.get(name, {})
        for text in sweep.pairs:
            pair, misfit = fitting(text, able.formats)
            if misfit is None:
                lengths = backend.draft_lengths(pair, options)
                yield Candidate(name, able, pair, draft_lengths=lengths, unfit=_unfit(pair, able, sweep.methods))
            else:
                yield Candidate(name, able, pair, misfit=f"{name} cannot load it: {misfit}")


def _unfit(pair: Pair, able: Capabilities, methods: Sequence[str]) -> dict[str, str]:
    """So that an MTP assistant and an EAGLE-3 head of one target can stand in one sweep, each with its own method."""
    if "hf" not in able.formats or len(methods) == 1:  # a lone method that does not fit is a mistake, told at launch
        return {}
    try:
        target, assistant = fit.read(pair.target), fit.read(pair.assistant) if pair.assistant else None
    except UsageError:  # opening it says what is wrong with it
        return {}
    if target is None or (assistant is None and pair.assistant):
        return {}
    found = {method: fit.problems(method, target, assistant) for method in methods}
    return {method: f"{pair.name} cannot run {method}: {'; '.join(why)}" for method, why in found.items() if why}
