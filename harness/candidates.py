"""Every pair in every backend of a sweep: the model files that fit the runtime, or why there are none."""

from collections.abc import Iterator
from dataclasses import dataclass

from backends import discover
from backends.base import Capabilities
from harness.sweep import Sweep
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


def candidates(sweep: Sweep) -> Iterator[Candidate]:
    """In the order of the sweep: backends, and in each the pairs. Raises UsageError for a name that is none."""
    for name in sweep.backends:
        backend = discover.load(name)
        able, options = backend.capabilities, sweep.backend.get(name, {})
        for text in sweep.pairs:
            pair, misfit = fitting(text, able.formats)
            if misfit is None:
                yield Candidate(name, able, pair, draft_lengths=backend.draft_lengths(pair, options))
            else:
                yield Candidate(name, able, pair, misfit=f"{name} cannot load it: {misfit}")
