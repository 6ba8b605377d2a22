"""One seeded run of an engine through the real harness, and the checks that flagged it.

What a run measures follows from its number alone. Greedy: a window of the demo prompts, every `step`th from `start` on.
Above temperature 0: prompts drawn by chance, and continuations drawn from the pool of `Remembering`.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.broken.catalogue import Entry
from support.broken.inprocess import hosted
from support.broken.session import Remembering

from harness.experiment import measure
from harness.sweep import Sweep
from results.judge import judge
from results.store import RunFile
from results.verdicts import CellVerdict
from workloads import prompts

K = 4
PROMPT_TOKENS = 64
NEW_TOKENS = 32
CHARACTERS = 800
"""Of an excerpt: twice what the prompt takes; whole ones would be tokenized and sent in every run for nothing."""


@dataclass(frozen=True)
class Size:
    """How much a run measures, and of how much there is."""

    prompts: int
    """Of a run, each decoded once by every arm."""
    pool: int
    """Prompts that runs choose from."""
    draws: int | None = None
    """Continuations of each prompt that runs choose from; None: greedy, there is only one."""


GREEDY = Size(prompts=8, pool=25)
SAMPLED = Size(prompts=12, pool=24, draws=4)


def size_of(entry: Entry) -> Size:
    """Of the engine's runs."""
    return SAMPLED if entry.temperature > 0 else GREEDY


@dataclass(frozen=True)
class Found:
    """What a run's own file says about it."""

    flags: frozenset[str]
    """Names of the checks that speak against the engine."""
    certified: bool
    """Lossless, as far as so small a run can tell."""
    tested: int
    """Tokens of the speculative arm that the certificate speaks for."""


def write_texts(folder: Path, size: Size) -> list[Path]:
    """The pool: excerpts of the demo workload in a file each, so that a run takes them in the order it names them."""
    paths = []
    for text in prompts.load("demo", limit=size.pool):
        paths.append(folder / f"{text.key.partition('/')[2]}.jsonl")
        row = {"text": text.text[:CHARACTERS], "category": text.category, "raw": text.raw, "bos": text.bos}
        paths[-1].write_text(json.dumps(row) + "\n", "utf-8")
    return paths


def chosen(size: Size, number: int) -> list[int]:
    """Which prompts of the pool run `number` takes, in its order; no two of the first hundred runs take the same."""
    if size.draws is not None:
        return random.Random(f"prompts of run {number}").sample(range(size.pool), size.prompts)
    start, step = number % size.pool, 1 + number // size.pool
    return [(start + step * i) % size.pool for i in range(size.prompts)]


def run(entry: Entry, real: Remembering, texts: Sequence[Path], path: Path, number: int) -> Found:
    """Measure a run of this engine into a new file, and judge that file."""
    size = size_of(entry)
    sweep = Sweep(
        name="broken",
        pairs=("demo",),
        workloads=tuple(str(texts[i]) for i in chosen(size, number)),
        draft_lengths=(K,),
        prompt_tokens=(PROMPT_TOKENS,),
        output_tokens=NEW_TOKENS,
        prompts=size.prompts,
        temperature=(entry.temperature,),
        repeats=1,
        speed=False,
        dtype="float32",
        device="cpu",
        threads=1,
        seed=number,
    )
    with hosted(entry.make(real, entry.seeds[number % len(entry.seeds)])):
        assert measure(sweep, path).state == "finished"
    with RunFile.open(path) as file:
        (cell,) = (cell for cell in judge(file).cells if cell.draft_length == K)
    return found(cell)


def found(cell: CellVerdict) -> Found:
    """What a speculative arm's verdict says."""
    assert cell.status in ("ok", "invalid"), (cell.status, cell.reason)
    flags = set(cell.findings)
    if (greedy := cell.equivalence) is not None:
        flags |= {greedy.verdict} & {"unexplained"}
        return Found(frozenset(flags), greedy.verdict in ("identical", "equivalent"), greedy.sequences)
    assert cell.sampling is not None
    flags |= {cell.sampling.verdict} & {"biased"}
    return Found(frozenset(flags), cell.sampling.verdict == "not distinguishable", cell.sampling.n)
