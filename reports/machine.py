"""Where and with what a run was measured, from its stored provenance (whose shape a stranger may have changed)."""

from collections.abc import Iterator, Mapping
from typing import Any

from reports.text import clean, count, moment, size

_DEEP = 6
"""Levels of nesting that are still told apart."""
_TELLING = (
    "torch",
    "transformers",
    "xllamacpp",
    "llama.cpp",
    "mlx",
    "mlx-vlm",
    "litert-lm-api",
    "vllm",
    "sglang",
    "ollama",
)


def facts(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested JSON as (dotted name, text) lines."""
    if isinstance(value, Mapping) and value and prefix.count(".") < _DEEP:
        for key, inner in value.items():
            name = clean(key, 60)
            yield from facts(inner, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list | tuple) and not any(isinstance(item, Mapping | list | tuple) for item in value):
        yield prefix, clean(", ".join(clean(item, 80) for item in value[:40])) or "none"
    else:
        yield prefix, "unknown" if value is None else clean(value)


def dig(value: object, *path: str) -> Any:
    """The value at a path of keys, or None."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def title(run: Mapping[str, Any]) -> str:
    """One line that names a run."""
    told = [
        f"mtpbench {clean(run.get('schema_of') or 'of unknown version', 30)}",
        clean(run.get("name") or "unnamed run", 60),
        clean(run.get("state") or "state unknown", 20),
        moment(run.get("created_unix_ns")),
    ]
    return " · ".join(told)


def summary(run: Mapping[str, Any]) -> str:
    """Processor, accelerators, memory, system and versions in one line; only what was recorded."""
    known = run.get("provenance")
    cores, memory = dig(known, "cpu", "usable"), dig(known, "memory", "total_bytes")
    gpus = dig(known, "gpus")
    told = [
        dig(known, "cpu", "model"),
        count(cores, "CPU") if isinstance(cores, int) else None,
        *(dig(gpu, "name") for gpu in (gpus if isinstance(gpus, list) else [])[:8]),
        size(memory) if isinstance(memory, int | float) else None,
        dig(known, "system", "distribution") or dig(known, "system", "name"),
        *_stacks(run.get("versions")),
    ]
    return " · ".join(clean(text, 120) for text in told if text)


def _stacks(stated: object) -> Iterator[str]:
    """The packages that make each runtime's speed, as its worker stated them; by runtime where there are several."""
    stacks = {clean(name, 40): versions(stack) for name, stack in stated.items()} if isinstance(stated, Mapping) else {}
    pythons = dict.fromkeys(found["python"] for found in stacks.values() if "python" in found)
    python = ", ".join(f"python {version}" for version in pythons)
    told = {
        name: ", ".join(f"{key} {found[key]}" for key in _TELLING if key in found) for name, found in stacks.items()
    }
    if len(stacks) == 1:
        yield ", ".join(text for text in (python, *told.values()) if text)
        return
    yield python
    yield from (f"{name}: {packages}" for name, packages in told.items() if packages)


def versions(packages: object) -> dict[str, str]:
    """Package -> version, of those whose version is known."""
    known = packages.items() if isinstance(packages, Mapping) else ()
    return {clean(name, 40): clean(version, 40) for name, version in known if version}
