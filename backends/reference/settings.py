"""What `-o reference.NAME=VALUE` may set, and what a draft method means here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard, cast, get_args

from backends.options import Options
from backends.reference import synthetic
from backends.reference.paths import Path
from backends.reference.steps import Rule
from results.errors import UsageError
from results.records import Draft, Json, Sampling

LOADING = ("experts_implementation", "revision", "assistant_revision", "local_files_only")
"""Passed on to `from_pretrained`."""
FORCED = ("acceptance", "acceptance_length", "acceptance_file")
"""Ways to say one thing."""
OWN = ("path", "rejected_kv", "drafts", *FORCED)
METHODS = ("mtp", "mtp-full-softmax", "mtp-no-activations", "mtp-own-prefill", "mtp-own-embeddings")
"""Besides MTP as it is: MTP without one of its parts (`--ablate`)."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The engine's own settings."""

    path: Path
    """How steps are executed (`backends.reference.paths`)."""
    sees_rejected: bool
    """The drafter sees keys and values of rejected drafts, as Transformers' does."""
    samples_drafts: bool
    acceptance: synthetic.Acceptance | None
    """None leaves it to the target."""
    loading: Mapping[str, Json]


def read(given: Mapping[str, Json]) -> Settings:
    """Raises UsageError, in one line."""
    options = Options("reference", given, {*OWN, *LOADING})
    return Settings(
        path=cast(Path, options.choice("path", get_args(Path))),
        sees_rejected=options.choice("rejected_kv", ("hidden", "visible")) == "visible",
        samples_drafts=options.choice("drafts", ("argmax", "sampled")) == "sampled",
        acceptance=_acceptance(options, given),
        loading={name: value for name, value in given.items() if name in LOADING},
    )


def rule(settings: Settings, draft: Draft | None, sampling: Sampling) -> Rule:
    """What a round shall do. The seed is no part of it: one rule serves all seeds.

    Raises UsageError where the asked acceptance cannot be had at this draft length.
    """
    sampling = Sampling(sampling.temperature, sampling.top_k, sampling.top_p)
    if draft is None:
        return Rule(0, sampling)
    forced = None if settings.acceptance is None else settings.acceptance.of(draft.length)
    return Rule(
        length=draft.length,
        sampling=sampling,
        samples_drafts=settings.samples_drafts and sampling.temperature > 0,
        forced=forced,
        sees_rejected=settings.sees_rejected,
        full_softmax=draft.method == "mtp-full-softmax",
        no_activations=draft.method == "mtp-no-activations",
        own_prefill=draft.method == "mtp-own-prefill",
        own_embeddings=draft.method == "mtp-own-embeddings",
    )


def _acceptance(options: Options, given: Mapping[str, Json]) -> synthetic.Acceptance | None:
    """What is forced, by whichever option says so."""
    said = [name for name in FORCED if name in options]
    if len(said) > 1:
        raise UsageError(f"reference.{said[0]} and reference.{said[1]} say the same thing twice: give one of them")
    if "acceptance_file" in options:
        return synthetic.read(options.text("acceptance_file") or "")
    if "acceptance_length" in options:
        length = given["acceptance_length"]
        if not _is_number(length) or length < 1:
            raise options.wrong("acceptance_length", "tokens per round, at least 1")
        return synthetic.Length(float(length))
    return _rates(options, given["acceptance"]) if "acceptance" in options else None


def _rates(options: Options, value: Json) -> synthetic.Rates:
    """A rate for every draft, or a list with one for each position."""
    rates = value if isinstance(value, list) else [value]
    numbers = [float(rate) for rate in rates if _is_number(rate) and 0 <= rate <= 1]
    if not rates or len(numbers) != len(rates):
        raise options.wrong("acceptance", "a rate in 0..1, or a list of them, one per draft position")
    return synthetic.Rates(tuple(numbers))


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def refuse_method(method: str) -> None:
    """Raises UsageError for a draft method that is none of this engine's."""
    if method not in METHODS:
        raise UsageError(f"the reference engine has no draft method {method!r}; it has {', '.join(METHODS)}")
