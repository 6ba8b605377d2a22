"""The door to prompts: `load` finds texts by name or path, `fit` makes prompts of exact length from them."""

import difflib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from results.errors import UsageError
from workloads import sets
from workloads.datasets import DATASETS, load_dataset
from workloads.fit import Encode, fit, synthetic
from workloads.framing import Framing, framing
from workloads.own import load_own
from workloads.source import Source

__all__ = [
    "Encode",
    "Framing",
    "Source",
    "WorkloadEntry",
    "catalogue",
    "fit",
    "framing",
    "load",
    "synthetic",
]


@dataclass(frozen=True, slots=True)
class WorkloadEntry:
    """One line of `mtpbench workloads`."""

    name: str
    about: str
    licence: str
    categories: tuple[str, ...]
    prompts: int | None
    """None for data sets, which are not shipped."""
    shipped: bool


def catalogue() -> list[WorkloadEntry]:
    """Every workload that has a name: the shipped sets first, then the data sets."""
    demo, mixed = sets.demo(), [s for name in sets.CATEGORIES for s in sets.category(name)]
    return [
        _entry(sets.MIXED, "every category below, taken in turn (the default)", mixed),
        *(_entry(name, sets.about(name), sets.category(name)) for name in sets.CATEGORIES),
        _entry(sets.DEMO, "held-out Python sources and documentation, for the demo pair", demo),
        *(
            WorkloadEntry(d.name, f"{d.title}; {d.name}:/path or the datasets library", d.licence, (), None, False)
            for d in DATASETS.values()
        ),
    ]


def _entry(name: str, about: str, sources: Sequence[Source]) -> WorkloadEntry:
    categories = tuple(dict.fromkeys(source.category for source in sources))
    return WorkloadEntry(name, about, sources[0].licence, categories, len(sources), True)


def load(
    name_or_path: str = sets.MIXED,
    *,
    categories: Iterable[str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> list[Source]:
    """The texts of a workload, categories taken in turn, each category shuffled by `seed`.

    name_or_path: a shipped set, a data set (`gsm8k`, or `gsm8k:/path/to/file`), or a file or folder of one's own.
    categories: keep only these. limit: keep only so many. Raises UsageError for unknown names and unusable files.
    """
    found = _find(name_or_path)
    if categories is not None:
        found = _only(found, list(categories), name_or_path)
    return _in_turn(found, seed)[:limit]


def _find(text: str) -> Sequence[Source]:
    dataset, colon, path = text.partition(":")
    if text == sets.MIXED:
        return [replace(s, workload=sets.MIXED) for name in sets.CATEGORIES for s in sets.category(name)]
    if text in sets.CATEGORIES:
        return sets.category(text)
    if text == sets.DEMO:
        return sets.demo()
    if dataset in DATASETS:
        return load_dataset(dataset, path if colon else None)
    own = Path(text).expanduser()
    if text and own.exists():
        return load_own(own)
    if own.suffix or "/" in text:
        raise UsageError(f"no prompts at {text}: no such file or folder")
    names = [sets.MIXED, *sets.CATEGORIES, sets.DEMO, *DATASETS]
    near = difflib.get_close_matches(text.casefold(), names, n=3)
    guess = f"did you mean {' or '.join(near)}?" if near else f"name one of {', '.join(names)}, or a file"
    raise UsageError(f"unknown workload {text!r}: {guess}")


def _only(sources: Sequence[Source], wanted: Sequence[str], name: str) -> list[Source]:
    there = list(dict.fromkeys(source.category for source in sources))
    for category in wanted:
        if category not in there:
            near = difflib.get_close_matches(category, there, n=3) or there
            raise UsageError(f"workload {name} has no category {category!r}: it has {', '.join(near)}")
    return [source for source in sources if source.category in wanted]


def _in_turn(sources: Sequence[Source], seed: int) -> list[Source]:
    """Round-robin over categories, so that any number of prompts from the front covers as many as it can."""
    by_category: dict[str, list[Source]] = {}
    for source in sources:
        by_category.setdefault(source.category, []).append(source)
    for category, texts in by_category.items():
        random.Random(f"{seed}/{category}").shuffle(texts)
    longest = max(map(len, by_category.values()), default=0)
    return [texts[i] for i in range(longest) for texts in by_category.values() if i < len(texts)]
