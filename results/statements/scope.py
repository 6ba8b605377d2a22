"""Whether a measured cell is what a published statement is about, and if not, in what it differs."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from results.statements.published import Ends, Scope
from results.verdicts import CellVerdict

_RANDOM = "random:"
"""How the name of a pair begins whose weights were made at random."""


def stands_in(pattern: str, text: str) -> bool:
    """Whether `pattern` is in `text` as whole words, in any case; `*` ends a word in any way.

    A laptop's accelerator has the name of the desktop's and is another: it is found only by a pattern that says so.
    """
    if "laptop" in text.casefold() and "laptop" not in pattern.casefold():
        return False
    words = re.escape(pattern).replace(r"\*", "[a-z0-9]*")
    return re.search(rf"(?<![a-z0-9]){words}(?![a-z0-9])", text, re.IGNORECASE) is not None


def mismatches(scope: Scope, cell: CellVerdict, run: Mapping[str, Any]) -> list[str]:
    """In what the cell differs from what the statement is about, one line each; empty: they can be compared.

    run: `RunVerdict.run`. What the statement leaves open is not looked at (`left_open`).
    """
    return [*_models(scope, cell), *_places(scope, cell, run), *_settings(scope, cell, run)]


def _models(scope: Scope, cell: CellVerdict) -> Iterator[str]:
    if not any(stands_in(name, cell.pair) for name in scope.pairs) and scope.pairs:
        yield _differs("model", " or ".join(scope.pairs), cell.pair)
    elif cell.pair.startswith(_RANDOM):
        yield f"weights: {cell.pair} has weights made at random"
    if scope.weights and not any(stands_in(kind, text) for kind in scope.weights for text in (cell.pair, cell.dtype)):
        yield _differs("weights", " or ".join(scope.weights), cell.dtype)
    wanted = scope.method or ("mtp" if scope.pairs else None)
    if wanted and cell.method != wanted:
        yield _differs("method", wanted, cell.method)


def _places(scope: Scope, cell: CellVerdict, run: Mapping[str, Any]) -> Iterator[str]:
    if scope.runtimes and cell.backend not in scope.runtimes:
        yield _differs("runtime", " or ".join(scope.runtimes), cell.backend)
    names = hardware(cell, run)
    if scope.hardware and not any(stands_in(pattern, name) for pattern in scope.hardware for name in names):
        yield _differs("hardware", " or ".join(scope.hardware), ", ".join(names) or "a machine that is not recorded")
    if scope.device and not stands_in(scope.device, cell.device):
        yield _differs("device", scope.device, cell.device)
    if scope.gpus is not None and len(_gpus(run)) != scope.gpus:
        yield _differs("accelerators", str(scope.gpus), f"{len(_gpus(run))} listed")


def _settings(scope: Scope, cell: CellVerdict, run: Mapping[str, Any]) -> Iterator[str]:
    for name, wanted, found in (
        ("batch", scope.batch, cell.batch_size),
        ("draft length", scope.draft_length, cell.draft_length),
    ):
        if wanted is not None and not wanted[0] <= found <= wanted[1]:
            yield _differs(name, _ends(wanted), str(found))
    if scope.temperature is not None and cell.temperature != scope.temperature:
        yield _differs("temperature", f"{scope.temperature:g}", f"{cell.temperature:g}")
    sets = _workloads(run)
    if scope.workload and {name.partition(":")[0] for name in sets} != {scope.workload}:
        yield _differs("prompts", scope.workload, ", ".join(sets) or "prompts that are not recorded")


def left_open(scope: Scope) -> list[str]:
    """What the statement does not state and a figure depends on."""
    open_ = {
        "model": not scope.pairs,
        "runtime": not scope.runtimes,
        "hardware": not scope.hardware,
        "batch": scope.batch is None,
        "draft length": scope.draft_length is None,
        "prompts": scope.workload is None,
    }
    return [name for name, is_open in open_.items() if is_open]


def hardware(cell: CellVerdict, run: Mapping[str, Any]) -> list[str]:
    """Names of what the cell ran on: its device as stated, with the accelerators, or the processor where it is that.

    A processor also stands for the accelerator on its own chip (Apple), which is not listed apart.
    """
    gpus, cpu = _gpus(run), _dig(run, "provenance", "cpu", "model")
    on_cpu = stands_in("cpu", cell.device) or not gpus
    if cell.status == "imported":  # measured on another machine than the one that imported it
        return [cell.device]
    return [cell.device, *([str(cpu)] if on_cpu and cpu else [] if on_cpu else gpus)]


def _gpus(run: Mapping[str, Any]) -> list[str]:
    found = _dig(run, "provenance", "gpus")
    return [str(gpu.get("name")) for gpu in found if isinstance(gpu, Mapping)] if isinstance(found, list) else []


def _workloads(run: Mapping[str, Any]) -> list[str]:
    found = _dig(run, "workload", "names")
    return [str(name) for name in found] if isinstance(found, list) else []


def _dig(value: Any, *path: str) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _ends(ends: Ends) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _differs(what: str, published: str, measured: str) -> str:
    return f"{what}: published for {published}, measured {measured}"
