"""Sweep x capabilities x pairs -> Plan: every cell, which engine serves it, and why some cells cannot run (pure)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import groupby, product
from typing import TypeVar

from backends.base import Capabilities
from harness.sweep import Sweep
from results.errors import UsageError
from results.records import CONTROL, PLAIN, SPECULATIVE, Cell, Draft, EngineConfig, Pair, Role, Sampling

Number = TypeVar("Number", int, float)

NEEDS_ASSISTANT = ("mtp", "draft-model")
DEFAULT_UNITS = 24
"""Units of a group where the sweep names no number: the stop rule wants at least 20."""
VISITS_FOR_PRECISION = 10
"""The most visits to a unit where a precision is asked for and nothing else bounds the run."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine to launch: one worker each."""

    number: int
    backend: str
    pair: Pair
    config: EngineConfig


@dataclass(frozen=True, slots=True)
class Arm:
    """A cell that can run, and the engine that serves it."""

    cell: Cell
    engine: int
    instrumented: bool
    """Gets a pass with step times too, after the first block of every unit."""

    @property
    def label(self) -> str:
        """`plain`, `control`, or `mtp k=4`."""
        return self.cell.role if self.cell.draft is None else f"{self.cell.draft.method} k={self.cell.draft.length}"


@dataclass(frozen=True, slots=True)
class Group:
    """Arms that share prompts and settings: plain, control, and at least one speculative arm."""

    number: int
    pair: Pair
    arms: tuple[Arm, ...]
    token_ids: bool
    """The runtime takes token ids; otherwise prompts travel as text."""

    @property
    def plain(self) -> Arm:
        """The arm that all others are set against."""
        return self.arms[0]

    @property
    def cell(self) -> Cell:
        """The plain arm's cell: it holds the settings that all arms share."""
        return self.arms[0].cell

    def calls(self, *, first_visit: bool) -> int:
        """Calls of one block: every arm twice, and once more with instruments at the first visit of a unit."""
        return 2 * len(self.arms) + (sum(arm.instrumented for arm in self.arms) if first_visit else 0)


@dataclass(frozen=True, slots=True)
class Stage:
    """Groups whose engines are up at the same time, so that their blocks can alternate; one launch of them."""

    groups: tuple[Group, ...]
    repeats: range | None
    """The visits to every unit that fall into this launch; None: endless."""
    final: bool
    """The last launch of these engines."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be measured, in the order in which it will be."""

    sweep: Sweep
    engines: tuple[Engine, ...]
    groups: tuple[Group, ...]
    skipped: tuple[Cell, ...]
    texts: int | None = None
    """Prompts that the workload holds; None where nobody has looked."""

    @property
    def units(self) -> int:
        """Units of each group; of the group with most where batches share a small workload."""
        return max(units_of(self.sweep, group.cell.batch_size, self.texts) for group in self.groups)

    @property
    def visits(self) -> int | None:
        """How often every unit is visited, all launches together; None: until the time budget says stop."""
        sweep = self.sweep
        if sweep.repeats is not None or sweep.launches > 1:
            return sweep.launches * (sweep.repeats or 1)
        if sweep.time_budget is not None:
            return None
        return 1 if sweep.precision is None else VISITS_FOR_PRECISION

    @property
    def together(self) -> tuple[tuple[Group, ...], ...]:
        """Groups whose engines are up at the same time: those of one backend and pair.

        Models of several pairs, or of several runtimes that each claim the whole device, need not fit into
        memory together.
        """
        neighbours = groupby(self.groups, key=lambda group: (group.cell.backend, group.pair))
        return tuple(tuple(groups) for _, groups in neighbours)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The run in order: every launch of all engines, and in it one stage for each set of groups."""
        if self.visits is None:
            return tuple(Stage(groups, None, final=True) for groups in self.together)
        per_launch = self.visits // self.sweep.launches
        launches = [range(start, start + per_launch) for start in range(0, self.visits, per_launch)]
        return tuple(
            Stage(groups, repeats, final=repeats is launches[-1]) for repeats in launches for groups in self.together
        )

    @property
    def calls(self) -> int | None:
        """Calls to be measured, warm-up apart; None where only precision or time budget bound them."""
        return self._sum(1 for _ in self.groups)

    @property
    def tokens(self) -> int | None:
        """Tokens that those calls generate at most, all rows of a batch together."""
        return self._sum(group.cell.batch_size * group.cell.output_tokens for group in self.groups)

    def seconds(self, tpot_ms: Mapping[str, float | None]) -> float | None:
        """An upper estimate of the measuring time: all calls at the plain arm's speed, or the time budget.

        tpot_ms: pair name -> known time per output token of the plain arm at batch 1. None where the speed of
        a pair is unknown and there is no time budget. Loading, prefill and warm-up come on top.
        """
        budget = self.sweep.time_budget
        known = [(tpot_ms.get(group.pair.name), group.cell.output_tokens) for group in self.groups]
        per_call = [tpot * tokens / 1000 for tpot, tokens in known if tpot is not None]
        total = self._sum(per_call) if len(per_call) == len(known) else None
        return min((estimate for estimate in (total, budget) if estimate is not None), default=None)

    def _sum(self, per_call: Iterable[Number]) -> Number | None:
        """What all calls add up to; `per_call` is what one call of each group adds."""
        if self.visits is None:
            return None
        again = self.visits - 1
        return sum(
            units_of(self.sweep, group.cell.batch_size, self.texts)
            * (group.calls(first_visit=True) + again * group.calls(first_visit=False))
            * each
            for group, each in zip(self.groups, per_call, strict=True)
        )


def units_of(sweep: Sweep, batch_size: int, texts: int | None) -> int:
    """Units of a group: as many as asked for, else the usual number, or what a smaller workload gives.

    texts: prompts that the workload holds, None if unknown; a unit takes `batch_size` of them.
    """
    if sweep.prompts is not None:
        return sweep.prompts
    return DEFAULT_UNITS if texts is None else max(1, min(DEFAULT_UNITS, texts // batch_size))


def make_plan(sweep: Sweep, pairs: Sequence[Pair], capabilities: Mapping[str, Capabilities]) -> Plan:
    """Lay out every cell of the sweep.

    capabilities: backend name -> what it can do, for every backend of the sweep.
    Raises UsageError where a method is unknown to all backends, or nothing at all can be measured.
    """
    _check_methods(sweep, capabilities)
    engines: dict[tuple[str, str, Draft | None], Engine] = {}
    groups: list[Group] = []
    skipped: list[Cell] = []
    for number, (backend, pair, cells) in enumerate(_settings(sweep, pairs)):
        able = capabilities[backend]
        reasons = [_impossible(cell, able, pair) for cell in cells]
        alone = None not in reasons[2:]
        whole_group = reasons[0] or ("no speculative arm of this group can run" if alone else None)
        arms = []
        for cell, reason in zip(cells, reasons, strict=True):
            why = reason or whole_group
            placed = replace(cell, group=number, skipped=why)
            if why is not None:
                skipped.append(placed)
                continue
            fixed = None if able.draft_change == "per-request" else cell.draft
            key = (backend, pair.name, fixed)
            if key not in engines:
                config = _engine_config(sweep, backend, able, fixed)
                engines[key] = Engine(len(engines), backend, pair, config)
            rounds = "rounds" in able.captures and cell.role != CONTROL
            arms.append(Arm(placed, engines[key].number, instrumented=rounds))
        if arms:
            groups.append(Group(number, pair, tuple(arms), able.token_ids_in))
    if not groups:
        why = next(cell.skipped for cell in skipped if cell.draft is not None)
        raise UsageError(f"nothing can be measured: {why}")
    return Plan(sweep, tuple(engines.values()), tuple(groups), tuple(skipped))


def _settings(sweep: Sweep, pairs: Sequence[Pair]) -> Iterator[tuple[str, Pair, list[Cell]]]:
    """Every group as (backend, pair, its cells): plain, control, then the speculative arms."""
    arms: list[tuple[Role, Draft | None]] = [(PLAIN, None), (CONTROL, None)]
    arms += [(SPECULATIVE, Draft(method, k)) for method, k in product(sweep.methods, sweep.draft_lengths)]
    for backend, pair, batch, prompt, temperature in product(
        sweep.backends, pairs, sweep.batch_sizes, sweep.prompt_tokens, sweep.temperature
    ):
        greedy = temperature == 0
        sampling = Sampling() if greedy else Sampling(temperature, sweep.top_k, sweep.top_p, seed=sweep.seed)
        yield (
            backend,
            pair,
            [
                Cell(
                    group=0,
                    role=role,
                    backend=backend,
                    pair=pair.name,
                    draft=draft,
                    batch_size=batch,
                    prompt_tokens=prompt,
                    output_tokens=sweep.output_tokens,
                    sampling=sampling,
                    dtype=sweep.dtype,
                    device=sweep.device,
                    synthetic=pair.random_weights,
                )
                for role, draft in arms
            ],
        )


def _impossible(cell: Cell, able: Capabilities, pair: Pair) -> str | None:
    """Why this runtime cannot run this cell, or None."""
    if cell.sampling.temperature > 0 and not able.sampling:
        return f"{cell.backend} does not sample (temperature {cell.sampling.temperature:g})"
    if cell.prompt_tokens is not None and not able.token_ids_in:
        return f"{cell.backend} takes no token ids, so that prompts keep their own length"
    largest = able.max_batch_plain if cell.draft is None else able.max_batch_speculative
    if cell.draft is not None and cell.draft.method not in able.methods:
        return f"{cell.backend} does not draft by {cell.draft.method}: it offers {', '.join(able.methods)}"
    if largest is not None and cell.batch_size > largest:
        kind = "decodes" if cell.draft is None else "drafts"
        return f"{cell.backend} {kind} at batch sizes up to {largest}, not {cell.batch_size}"
    if cell.draft is not None and cell.draft.method in NEEDS_ASSISTANT and pair.assistant is None:
        return f"{pair.name} names no assistant to draft by {cell.draft.method}: write TARGET:ASSISTANT"
    return None


def _engine_config(sweep: Sweep, backend: str, able: Capabilities, draft: Draft | None) -> EngineConfig:
    longest = max((length for length in sweep.prompt_tokens if length is not None), default=None)
    own = None in sweep.prompt_tokens or longest is None
    return EngineConfig(
        dtype=sweep.dtype,
        device=sweep.device,
        threads=sweep.threads,
        max_context=None if own or longest is None else longest + sweep.output_tokens,
        methods=tuple(method for method in sweep.methods if method in able.methods),
        draft=draft,
        options=sweep.backend.get(backend, {}),
        trust_remote_code=sweep.trust_remote_code,
    )


def _check_methods(sweep: Sweep, capabilities: Mapping[str, Capabilities]) -> None:
    known = sorted({method for able in capabilities.values() for method in able.methods})
    for method in sweep.methods:
        if method not in known:
            near = get_close_matches(method, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"{', '.join(sweep.backends)} offer {', '.join(known)}"
            raise UsageError(f"unknown draft method {method!r}: {hint}")
