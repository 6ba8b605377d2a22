"""Every pair in every backend of a sweep: the model files that fit the runtime, or why there are none."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from backends import discover, fit
from backends.base import Capabilities
from harness.sweep import Sweep
from results.ablations import WHOLE, WITHOUT
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
    refused: Mapping[int, str] = field(default_factory=dict)
    """Draft length -> why the backend's options leave nothing of it to measure."""


def candidates(sweep: Sweep) -> Iterator[Candidate]:
    """In the order of the sweep: backends, and in each the pairs. Raises UsageError for a name that is none."""
    for name in sweep.backends:
        backend = discover.load(name)
        able, options = backend.capabilities, sweep.backend.get(name, {})
        refused = backend.refused_lengths(sweep.of(name).draft_lengths, options)
        for text in sweep.pairs:
            pair, misfit = fitting(text, able.formats)
            if misfit is None:
                lengths = backend.draft_lengths(pair, options)
                unfit = _unfit(pair, able, sweep.methods)
                yield Candidate(name, able, pair, draft_lengths=lengths, unfit=unfit, refused=refused)
            else:
                yield Candidate(name, able, pair, misfit=f"{name} cannot load it: {misfit}")


def _unfit(pair: Pair, able: Capabilities, methods: Sequence[str]) -> dict[str, str]:
    """So that an MTP assistant and an EAGLE-3 head of one target can stand in one sweep, each with its own method."""
    if "hf" not in able.formats or len(methods) == 1:  # a lone method that does not fit is a mistake, told at launch
        return {}
    try:
        target, assistant = _configs(pair)
    except UsageError:  # opening it says what is wrong with it
        return {}
    if target is None or (assistant is None and pair.assistant):
        return {}
    found = {method: _problems(method, target, assistant) for method in methods}
    return {method: f"{pair.name} cannot run {method}: {'; '.join(why)}" for method, why in found.items() if why}


def _configs(pair: Pair) -> tuple[fit.Config | None, fit.Config | None]:
    """(target, assistant), as far as their configs are here. Raises UsageError for what is no model."""
    if pair.shapes is not None:
        return pair.shapes.target, pair.shapes.assistant
    return fit.read(pair.target), fit.read(pair.assistant) if pair.assistant else None


def _problems(method: str, target: fit.Config, assistant: fit.Config | None) -> list[str]:
    """As `fit.problems`; what MTP needs, MTP without a part needs too, and the part must be there to be taken away."""
    found = fit.problems(WHOLE if method in WITHOUT.values() else method, target, assistant)
    if not found and method == WITHOUT["centroids"] and not (assistant or {}).get("use_ordered_embeddings"):
        return ["the drafter has no centroids to do without"]
    return found
