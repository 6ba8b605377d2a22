"""Cells whose figures somebody else measured, e.g. an app on a phone: shown beside the others, and never ranked.

The manifest holds what was stated, under `imported`: where it comes from, and for each group of cells the benchmarks
of its plain and of its speculative arm. There are no trials, so that nothing is computed but the ratio of the two
speeds: no interval, no acceptance, no certificate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

from results.records import SPECULATIVE, Cell, Json
from results.verdicts import ArmTiming, CellVerdict, Speedup

KEY = "imported"
LARGEST = 1e15
SLOWEST = 1e-6
"""Tokens per second."""
KINDS: Mapping[str, tuple[type, ...]] = {
    "started_unix_ms": (int,),
    "ended_unix_ms": (int,),
    "runs": (int,),
    "app_version": (str,),
    "steady_init_ms": (int, float, type(None)),
}
"""Of the fields of `Stated` that are not plain numbers."""


@dataclass(frozen=True, slots=True)
class Stated:
    """One benchmark as its source states it: figures over all its runs, which single runs are not part of."""

    started_unix_ms: int
    ended_unix_ms: int
    runs: int
    app_version: str
    prefill_tokens_per_s: float
    decode_tokens_per_s: float
    ttft_s: float
    first_init_ms: float
    steady_init_ms: float | None
    """Of the runs after the first; None where there was one run."""

    def __post_init__(self) -> None:
        numbers = [value for f in fields(self) if isinstance(value := getattr(self, f.name), int | float)]
        if not all(0 <= number <= LARGEST for number in numbers) or self.runs < 1 or self.decode_tokens_per_s < SLOWEST:
            raise ValueError(f"it states what no benchmark gives: {self}")

    @classmethod
    def of_json(cls, value: Json) -> Self:
        """Raises ValueError for anything but these fields."""
        if not isinstance(value, dict) or value.keys() != {field.name for field in fields(cls)}:
            raise ValueError("a benchmark has other fields than it should")
        for name, each in value.items():
            if type(each) not in KINDS.get(name, (int, float)):
                raise ValueError(f"{name} of a benchmark is {each!r:.40}")
        return cls(**value)  # type: ignore[arg-type]  # checked above


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """Of the two arms of a group."""

    source: str
    plain: tuple[Stated, ...]
    speculative: tuple[Stated, ...]


def read(manifest: Mapping[str, Json]) -> dict[int, Benchmarks]:
    """Group -> its benchmarks; empty where nothing was imported. Raises ValueError for what is no such thing."""
    value = manifest.get(KEY)
    if value is None:
        return {}
    if not isinstance(value, dict) or not isinstance(source := value.get("source"), str):
        raise ValueError("it does not say where it comes from")
    groups = value.get("groups")
    if not isinstance(groups, list):
        raise ValueError("it has no list of groups")
    found = {}
    for group in groups:
        number = group.get("group") if isinstance(group, dict) else None
        if not isinstance(group, dict) or type(number) is not int:
            raise ValueError("a group has no number")
        found[number] = Benchmarks(source, *(_arm(group.get(arm)) for arm in ("plain", "speculative")))
    return found


def verdicts(group: int, benchmarks: Benchmarks, cells: Mapping[int, Cell], confidence: float) -> list[CellVerdict]:
    """One verdict per speculative cell of the group. confidence: of the intervals that there are none of."""
    return [
        _verdict(cell_id, cell, benchmarks, confidence)
        for cell_id, cell in cells.items()
        if cell.group == group and cell.role == SPECULATIVE
    ]


def _arm(value: Json) -> tuple[Stated, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError("an arm has no benchmarks")
    return tuple(map(Stated.of_json, value))


def _verdict(cell_id: int, cell: Cell, benchmarks: Benchmarks, confidence: float) -> CellVerdict:
    assert cell.draft is not None  # a Cell of this role has one
    plain, speculative = _timing(benchmarks.plain), _timing(benchmarks.speculative)
    assert plain.tpot_ms is not None
    assert speculative.tpot_ms is not None
    gain = Speedup(
        point=plain.tpot_ms / speculative.tpot_ms,
        these_prompts=None,
        new_prompts=None,
        confidence=confidence,
        launches=len(benchmarks.plain) + len(benchmarks.speculative),
        basis="over launches",
        total_time_ratio=None,
        e2e=None,
        throughput=None,
    )
    return CellVerdict(
        backend=cell.backend,
        pair=cell.pair,
        method=cell.draft.method,
        draft_length=cell.draft.length,
        batch_size=cell.batch_size,
        prompt_tokens=cell.prompt_tokens,
        output_tokens=cell.output_tokens,
        temperature=cell.sampling.temperature,
        dtype=cell.dtype,
        device=cell.device,
        status="imported",
        reason=f"figures as {benchmarks.source} states them; drafts and their length as stated by who imported them",
        synthetic=cell.synthetic,
        n_prompts=0,
        n_units=0,
        baseline=plain,
        speculative=speculative,
        speedup=gain,
        aa=None,
        distinguishable=None,
        acceptance=None,
        equivalence=None,
        sampling=None,
        drafter_memory_bytes=None,
        distinct_4grams=None,
        group=cell.group,
        cell_id=cell_id,
    )


def _timing(stated: Sequence[Stated]) -> ArmTiming:
    """Benchmarks of the same setting weigh by their runs."""
    runs = sum(each.runs for each in stated)

    def mean(of: Callable[[Stated], float]) -> float:
        return sum(each.runs * of(each) for each in stated) / runs

    return ArmTiming(
        tpot_ms=mean(lambda each: 1000 / each.decode_tokens_per_s),
        ttft_ms=mean(lambda each: 1000 * each.ttft_s),
        tokens_per_s=None,
    )
