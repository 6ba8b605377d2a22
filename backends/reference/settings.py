"""What `-o reference.NAME=VALUE` may set, and what a draft method means here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from backends.options import Options
from backends.reference.paths import Path
from backends.reference.steps import Rule
from results.errors import UsageError
from results.records import Draft, Json, Sampling

LOADING = ("experts_implementation", "revision", "assistant_revision", "local_files_only")
"""Passed on to `from_pretrained`."""
OWN = ("path", "rejected_kv", "drafts", "acceptance")
METHODS = ("mtp", "mtp-full-softmax", "mtp-no-activations")
"""Besides MTP as it is: MTP without one of its parts (`--ablate`)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The engine's own settings."""

    path: Path
    """How steps are executed (`backends.reference.paths`)."""
    sees_rejected: bool
    """The drafter sees keys and values of rejected drafts, as Transformers' does."""
    samples_drafts: bool
    acceptance: tuple[float, ...] | None
    """Synthetic acceptance: probability of keeping draft i where those before it were kept; None leaves it to the
    target. Beyond its end the last value holds."""
    loading: Mapping[str, Json]


def read(given: Mapping[str, Json]) -> Settings:
    """Raises UsageError, in one line."""
    options = Options("reference", given, {*OWN, *LOADING})
    return Settings(
        path=cast(Path, options.choice("path", get_args(Path))),
        sees_rejected=options.choice("rejected_kv", ("hidden", "visible")) == "visible",
        samples_drafts=options.choice("drafts", ("argmax", "sampled")) == "sampled",
        acceptance=_acceptance(options, given.get("acceptance")),
        loading={name: value for name, value in given.items() if name in LOADING},
    )


def rule(settings: Settings, draft: Draft | None, sampling: Sampling) -> Rule:
    """What a round shall do. The seed is no part of it: one rule serves all seeds."""
    sampling = Sampling(sampling.temperature, sampling.top_k, sampling.top_p)
    if draft is None:
        return Rule(0, sampling)
    forced = settings.acceptance
    if forced is not None:
        forced = (*forced, *[forced[-1]] * draft.length)[: draft.length]
    return Rule(
        length=draft.length,
        sampling=sampling,
        samples_drafts=settings.samples_drafts and sampling.temperature > 0,
        forced=forced,
        sees_rejected=settings.sees_rejected,
        full_softmax=draft.method == "mtp-full-softmax",
        no_activations=draft.method == "mtp-no-activations",
    )


def _acceptance(options: Options, value: Json) -> tuple[float, ...] | None:
    """A rate for every draft, or a list with one for each position."""
    if value is None:
        return None
    rates = value if isinstance(value, list) else [value]
    numbers = [float(rate) for rate in rates if isinstance(rate, int | float) and not isinstance(rate, bool)]
    if not rates or len(numbers) != len(rates) or not all(math.isfinite(x) and 0 <= x <= 1 for x in numbers):
        raise options.wrong("acceptance", "a rate in 0..1, or a list of them, one per draft position")
    return tuple(numbers)


def refuse_method(method: str) -> None:
    """Raises UsageError for a draft method that is none of this engine's."""
    if method not in METHODS:
        raise UsageError(f"the reference engine has no draft method {method!r}; it has {', '.join(METHODS)}")
