"""Small run files with known truth, written through `RunWriter`: a machine that does exactly what it is told.

`write(path, World(...))` plays a whole run: mirrored blocks, an instrumented pass after the first visit of each unit.
Every time is exact, so that a test can work out every figure by hand. `World.spoil` changes what a single call gives,
which is how a broken engine is made.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, product
from pathlib import Path
from typing import Literal

from results.records import (
    BIASED,
    CONTROL,
    HEADLINE,
    INSTRUMENTED,
    PLAIN,
    SPECULATIVE,
    WARMUP,
    Arrival,
    Cell,
    Draft,
    DraftCounts,
    EngineConfig,
    Failure,
    Generation,
    Launch,
    Phase,
    PlainStep,
    Prompt,
    Role,
    Round,
    Sampling,
    SessionFacts,
    Trial,
)
from results.store import RunWriter

MS = 1_000_000
TTFT_NS = 20 * MS
PASS_NS, HOST_1_NS = 9 * MS, 1 * MS
"""A plain step: TPOT of the plain arm is 10 ms."""
DRAFT_NS, WIDER_NS, HOST_NS = 1 * MS, MS // 2, MS // 2
"""A draft step, each further token of a verification pass, the host overhead of a round."""
EOS = 1


@dataclass(frozen=True)
class Call:
    """Where in the run a call stands."""

    cell: Cell
    unit: int
    repeat: int
    half: int
    phase: Phase
    launch: int
    """0, 1, ...: which launch of the run."""

    @property
    def k(self) -> int:
        """Draft length, 0 for an arm that does not draft."""
        return self.cell.draft.length if self.cell.draft else 0


def _as_it_is(call: Call, generation: Generation) -> Generation:
    return generation


@dataclass(frozen=True)
class World:
    """What is measured, and how the machine behaves."""

    lengths: tuple[int, ...] = (1, 2, 4)
    units: int = 4
    repeats: int = 1
    launches: int = 1
    batch_size: int = 1
    output_tokens: int = 41
    categories: tuple[str, ...] = ("code", "prose")
    pattern: tuple[int, ...] = (2, 0, 4, 1, 1)
    """Drafts that the target would accept in rounds 0, 1, ... of unit 0; unit u starts u rounds later."""
    eos_at: int | None = None
    """Index of an end-of-sequence token, past which the output runs on (as with ignore_eos)."""
    reveals: Literal["rounds", "counts", "nothing"] = "rounds"
    control: bool = True
    more: tuple[Role, ...] = ()
    """Undrafted arms beside plain and control; a biased one samples at 0.75 of the temperature."""
    temperature: float = 0.0
    synthetic: bool = False
    state: Literal["finished", "interrupted"] = "finished"
    slowness: Callable[[Call], float] = lambda call: 1.0
    """Factor on every time of a call."""
    spoil: Callable[[Call, Generation], Generation | Failure] = _as_it_is
    """What a call gives instead of what it should, or how it fails."""
    flags: Callable[[Call], tuple[str, ...]] = lambda call: ()
    telemetry: Callable[[Call], dict[str, float]] = lambda call: {}
    skipped: dict[int, str] | None = None
    """Draft length -> why its cell is put aside."""

    def accepted(self, k: int, unit: int, tokens: int) -> Iterator[int]:
        """Accepted drafts of each round until `tokens` have been emitted."""
        for i in count(unit):
            if tokens <= 0:
                return
            accepted = min(self.pattern[i % len(self.pattern)], k)
            yield accepted
            tokens -= accepted + 1


def write(path: Path, *worlds: World) -> Path:
    """Play a run and store it in `path`: one group for each world, one after the other."""
    manifest = {"schema_of": "0.1.0", "name": "fake", "seed": 0, "sweep": {}, "provenance": {}, "argv": []}
    worlds = worlds or (World(),)
    with RunWriter.create(path, manifest) as writer:
        for group, world in enumerate(worlds):
            _play(writer, world, group)
        writer.finish(worlds[-1].state)
    return path


def _play(writer: RunWriter, world: World, group: int) -> None:
    cells = {cell: writer.add_cell(cell) for cell in cells_of(world, group)}
    prompts = [[writer.add_prompt(_prompt(world, unit, row)) for row in range(world.batch_size)]
               for unit in range(world.units)]  # fmt: skip
    for number in range(world.launches):
        launch = writer.add_launch(_launch(number))
        for repeat, unit in product(range(world.repeats), range(world.units)):
            for half, phase, cell in _block([c for c in cells if c.skipped is None], repeat + number):
                call = Call(cell, unit, number * world.repeats + repeat, half, phase, number)
                trial, rows = _trial(world, call, cells[cell], launch, prompts[unit])
                writer.add_trial(trial, rows, world.telemetry(call))
    writer.set_stopped(group, "all repeats done")


def cells_of(world: World, group: int = 0) -> list[Cell]:
    """Plain, control and other undrafted arms, then one speculative cell per draft length."""
    plain = Cell(group, PLAIN, "fake", "pair", None, world.batch_size, 8, world.output_tokens,
                 Sampling(world.temperature), "float32", "cpu", world.synthetic)  # fmt: skip
    skipped = world.skipped or {}
    return [
        plain,
        *([replace(plain, role=CONTROL)] if world.control else []),
        *(replace(plain, role=role, sampling=Sampling(world.temperature * (0.75 if role == BIASED else 1)))
          for role in world.more),
        *(replace(plain, role=SPECULATIVE, draft=Draft("mtp", k), skipped=skipped.get(k)) for k in world.lengths),
    ]  # fmt: skip


def generation(world: World, call: Call, row: int = 0) -> Generation:
    """What one row of a call gives when nothing is wrong."""
    n, instrumented = world.output_tokens, call.phase == INSTRUMENTED
    ids = [100 + (31 * call.unit + 7 * row + i) % 900 for i in range(n)]
    if world.eos_at is not None:
        ids[world.eos_at] = EOS
    scale = world.slowness(call)
    if call.k == 0:
        arrivals = tuple(Arrival(round(scale * (TTFT_NS + i * (PASS_NS + HOST_1_NS))), i + 1) for i in range(n))
        steps = (PlainStep(round(scale * PASS_NS), round(scale * (PASS_NS + HOST_1_NS))),) * (n - 1)
        return Generation(n, tuple(ids), None, arrivals, prompt_tokens=8, steps=steps if instrumented else None,
                          finish_reason="length", cached_tokens=0)  # fmt: skip
    verify = PASS_NS + call.k * WIDER_NS
    spans = [round(scale * ns) for ns in (call.k * DRAFT_NS, verify, call.k * DRAFT_NS + verify + HOST_NS)]
    rounds, arrivals_, emitted = [], [Arrival(round(scale * TTFT_NS), 1)], 1
    for accepted in world.accepted(call.k, call.unit + row, n - 1):
        new = min(accepted + 1, n - emitted)
        emitted += new
        rounds.append(Round(call.k, accepted, new, *spans))
        arrivals_.append(Arrival(arrivals_[-1].ns + spans[2], emitted))
    counts = DraftCounts(
        len(rounds),
        call.k * len(rounds),
        sum(r.accepted for r in rounds),
        tuple(sum(r.accepted >= i for r in rounds) for i in range(1, call.k + 1)),
    )
    return Generation(
        n,
        tuple(ids),
        None,
        tuple(arrivals_),
        prompt_tokens=8,
        rounds=tuple(rounds) if instrumented and world.reveals == "rounds" else None,
        counts=counts if world.reveals == "counts" else None,
        finish_reason="length",
        cached_tokens=0,
    )


def _block(cells: list[Cell], turn: int) -> Iterator[tuple[int, Phase, Cell]]:
    order = cells[turn % len(cells) :] + cells[: turn % len(cells)]
    if turn == 0:
        yield from ((0, WARMUP, cell) for cell in cells)
    yield from ((0, HEADLINE, cell) for cell in order)
    yield from ((1, HEADLINE, cell) for cell in reversed(order))
    if turn == 0:
        yield from ((0, INSTRUMENTED, cell) for cell in order)


def _trial(
    world: World, call: Call, cell_id: int, launch: int, prompts: list[int]
) -> tuple[Trial, list[tuple[int, Generation]]]:
    seen = [world.spoil(call, generation(world, call, row)) for row in range(world.batch_size)]
    failure = next((each for each in seen if isinstance(each, Failure)), None)
    rows = [(prompt, each) for prompt, each in zip(prompts, seen, strict=True) if isinstance(each, Generation)]
    wall = max((g.arrivals[-1].ns for _, g in rows if g.arrivals), default=MS)
    trial = Trial(cell_id, launch, call.unit, call.repeat, call.half, call.phase, 0, wall, wall, failure,
                  world.flags(call))  # fmt: skip
    return trial, [] if failure else rows


def _prompt(world: World, unit: int, row: int) -> Prompt:
    category = world.categories[unit % len(world.categories)]
    return Prompt(f"{category}/{unit}.{row}", "fake", category, tuple(range(10, 18)), None)


def _launch(number: int) -> Launch:
    facts = SessionFacts({"fake": "1"}, "cpu", "float32", (EOS,), 4096, 1000, threads=1, drafter_bytes=1000)
    return Launch("fake", "pair", EngineConfig(), number, facts, f"fake-{number}.log")
