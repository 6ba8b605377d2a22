"""What a run spent besides time, straight from the run file: memory, cache, power, experts that were read."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reports.machine import dig
from results.choosing.objective import peak_memory
from results.passes import distinct_experts
from results.runfile import RunFile


@dataclass(frozen=True, slots=True)
class Used:
    """Of one cell; None where nothing tells."""

    peak_bytes: float | None = None
    """The most memory that a call took."""
    cache_bytes: float | None = None
    """The largest key-value cache that the engine stated."""
    watts: float | None = None
    """Power of the GPU beside headline trials, weighted by their time: see `harness.telemetry`."""
    experts: tuple[float, ...] = ()
    """Distinct experts of each layer that a target pass read, mean over passes; empty for dense models."""
    tokens_per_pass: float | None = None
    """Rows times tokens of such a pass."""


NOTHING = Used()


@dataclass(frozen=True, slots=True)
class Resources:
    """Of a run, by cell."""

    cells: Mapping[int, Used]
    plain: Mapping[int, int]
    """Group -> its plain cell."""

    def of(self, cell_id: int) -> Used:
        return self.cells.get(cell_id, NOTHING)

    def of_plain(self, group: int) -> Used:
        return self.of(self.plain[group]) if group in self.plain else NOTHING


def resources(file: RunFile) -> Resources:
    """Everything that the file tells of what its cells used."""
    found: dict[int, Used] = {}

    def put(cell: int, **known: Any) -> None:
        found[cell] = replace(found.get(cell, NOTHING), **known)

    for cell, peak in peak_memory(file).items():
        put(cell, peak_bytes=peak)
    for cell, watts in file.query(
        "SELECT cell_id, sum(value * wall_ns) / sum(wall_ns) FROM telemetry JOIN trial ON trial.id = trial_id "
        "WHERE name = 'gpu_watts' AND value > 0 AND phase = 'headline' AND failure_kind IS NULL AND wall_ns > 0 "
        "GROUP BY cell_id"
    ):
        put(cell, watts=watts)
    layers: dict[int, list[tuple[list[float], float]]] = {}
    for cell, said in _stated(file):
        size, distinct = said.get("cache_bytes"), distinct_experts(said)
        if size is not None and _is_number(size):
            put(cell, cache_bytes=max(size, found.get(cell, NOTHING).cache_bytes or 0))
        tokens = dig(said, "experts", "tokens_per_pass")
        if distinct is not None and _is_number(tokens):
            layers.setdefault(cell, []).append((distinct, tokens))
    for cell, passes in layers.items():
        alike = [(distinct, tokens) for distinct, tokens in passes if len(distinct) == len(passes[0][0])]
        put(
            cell,
            experts=tuple(sum(layer) / len(alike) for layer in zip(*(distinct for distinct, _ in alike), strict=True)),
            tokens_per_pass=sum(tokens for _, tokens in alike) / len(alike),
        )
    plain = file.query("SELECT group_no, min(id) FROM cell WHERE role = 'plain' GROUP BY group_no")
    return Resources(found, dict(plain))


def _stated(file: RunFile) -> Iterator[tuple[int, dict[str, Any]]]:
    """(cell, what its engine said of cache or experts), equal statements of a cell once."""
    rows = file.query(
        "SELECT DISTINCT cell_id, statement FROM generation JOIN trial ON trial.id = trial_id "
        """WHERE instr(statement, '"cache_bytes"') OR instr(statement, '"experts"') ORDER BY cell_id"""
    )
    for cell, statement in rows:
        yield cell, json.loads(statement)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
