"""What `-o reference.NAME=VALUE` may set, and what a draft method means here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from backends.options import Options
from backends.reference import METHODS, synthetic
from backends.reference.paths import Path
from backends.reference.steps import Rule
from results.errors import UsageError
from results.records import Draft, Json, Sampling

LOADING = ("experts_implementation", "revision", "assistant_revision", "local_files_only")
"""Passed on to `from_pretrained`."""
OWN = ("path", "rejected_kv", "drafts", *synthetic.OPTIONS)


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
        acceptance=synthetic.asked(given),
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


def refuse_method(method: str) -> None:
    """Raises UsageError for a draft method that is none of this engine's."""
    if method not in METHODS:
        raise UsageError(f"the reference engine has no draft method {method!r}; it has {', '.join(METHODS)}")
