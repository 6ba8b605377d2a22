"""Where a run's figures come from: which prompts, engines and machine; and how two runs differ in that."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from results.errors import UsageError
from results.runfile import RunFile
from results.verdicts import as_json

_VOLATILE = frozenset({"load_average", "uptime_s", "available_bytes", "mhz_now", "folder"})
"""Provenance that differs between any two runs."""
_EXPRESSED = frozenset(
    {
        # by the cells themselves
        *("backends", "pairs", "methods", "draft_lengths", "batch_sizes", "prompt_tokens", "output_tokens"),
        *("temperature", "dtype", "device"),
        # by intervals and counts
        *("name", "seed", "prompts", "precision", "time_budget", "repeats", "warmup", "start_timeout", "trial_timeout"),
    }
)
"""Keys of a sweep whose difference shows elsewhere."""
_COMPARED: dict[str, Set[str]] = {"provenance": _VOLATILE, "sweep": _EXPRESSED, "workload": frozenset()}
"""Parts of the manifest that are compared, and the keys in them that are not."""

Prompts = Mapping[int, Mapping[int, str]]
"""group -> unit -> digest of the prompts of that unit."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run's verdict does not tell, and a comparison wants to know."""

    prompts: Prompts
    engines: dict[str, Any]
    """`backend pair` -> facts of its last launch: versions, device, model files."""


def origin(file: RunFile) -> Origin:
    """Which prompts each unit held, and what the engines were."""
    engines = {f"{one.backend} {one.pair}": as_json(one.facts) for one in file.launches().values() if one.facts}
    return Origin(_unit_prompts(file), engines)


def twins(runs: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Names of files that hold the same run, each with the first that does (runs: `RunVerdict.run` of each)."""
    seen: dict[tuple[int, object], str] = {}
    for run in runs:
        created, name = run.get("created_unix_ns"), str(run.get("file", "a run"))
        if not isinstance(created, int):
            continue
        key = (created, run.get("name"))
        if key in seen:
            yield seen[key], name
        else:
            seen[key] = name


def refuse_twins(runs: Iterable[Mapping[str, Any]], why: str) -> None:
    """Raise UsageError where two files hold the same run. why: what is wrong with that."""
    for first, second in twins(runs):
        raise UsageError(f"{visible(f'{first} and {second}')} hold the same run: {why}")


def visible(text: str) -> str:
    """What a stranger's file says, for a message that nobody cleans: it moves no cursor and reorders no line."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _unit_prompts(file: RunFile) -> Prompts:
    """Digests of the ids (or text) of each unit's prompts, in the order of the batch."""
    contents = contents_of(file)
    batches: dict[tuple[int, int], dict[int, bytes]] = defaultdict(dict)
    for group, unit, row, prompt in file.query(
        "SELECT DISTINCT group_no, unit, row, prompt_id FROM generation "
        "JOIN trial ON trial.id = trial_id JOIN cell ON cell.id = cell_id WHERE phase = 'headline'"
    ):
        batches[group, unit][row] = contents[prompt]
    found: dict[int, dict[int, str]] = defaultdict(dict)
    for (group, unit), batch in batches.items():
        found[group][unit] = hashlib.sha256(b"".join(batch[row] for row in sorted(batch))).hexdigest()
    return dict(found)


def contents_of(file: RunFile) -> dict[int, bytes]:
    """Prompt id -> digest of its ids (or text), the same in any run file."""
    return {
        row: hashlib.sha256(ids if ids is not None else text.encode(errors="surrogatepass")).digest()
        for row, ids, text in file.query("SELECT id, token_ids, text FROM prompt")
    }


def differences(a: Mapping[str, Any], b: Mapping[str, Any], origins: tuple[Origin, Origin] | None) -> Iterator[str]:
    """What differs in how the runs of two verdicts came about, one line each (a, b: `RunVerdict.run`)."""
    return (f"{key}: {mine} in A, {theirs} in B" for key, mine, theirs in changed(a, b, origins))


def changed(
    a: Mapping[str, Any], b: Mapping[str, Any], origins: tuple[Origin, Origin] | None
) -> Iterator[tuple[str, str, str]]:
    """The same as (what, in a, in b), values cut to a line."""
    parts = [(key, a.get(key), b.get(key), ignored) for key, ignored in _COMPARED.items()]
    if origins is not None:
        here, there = origins[0].engines, origins[1].engines
        parts += [(name, here[name], there[name], {"statement"}) for name in here if name in there]
    for part, mine, theirs, ignored in parts:
        in_a, in_b = dict(_leaves(part, mine, ignored)), dict(_leaves(part, theirs, ignored))
        for key in in_a | in_b:
            if in_a.get(key) != in_b.get(key):
                yield key, _short(in_a.get(key)), _short(in_b.get(key))


def _leaves(name: str, value: Any, ignored: Set[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):  # accelerators, each with its driver
        value = {str(index): item for index, item in enumerate(value)}
    if not isinstance(value, dict):
        yield name, value
        return
    for key, item in value.items():
        if key not in ignored:
            yield from _leaves(f"{name}.{key}", item, ignored)


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
