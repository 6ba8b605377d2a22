"""One run of the reference engine through the real harness, with or without a fault in it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import torch
from support.broken.inprocess import hosted
from support.broken.reference import Fault, Seeded
from support.broken.runs import Found, K, found
from support.broken.session import Remembering
from support.broken.suite import ENGINE, PAIR

from backends.reference import Adapter, costs, settings
from backends.reference.session import ReferenceSession
from harness.experiment import measure
from harness.sweep import Sweep
from results.judge import judge
from results.store import RunFile
from workloads import prompts

SEED = 7
NARROW = 16
"""Tokens of a window in which one more counts; one more than the demo pair's 128 turns no greedy token."""
TEXTS = 40


@dataclass(frozen=True)
class Asked:
    """What is measured."""

    batch: int
    temperature: float = 0.0
    drafts: str = "argmax"
    """`sampled`: drawn from the drafter's distribution."""
    narrow: bool = False
    """The target's sliding layers see `NARROW` tokens."""

    def __str__(self) -> str:
        at = f"T={self.temperature:g}" if self.temperature else "greedy"
        return f"B={self.batch}-{at}{'-sampled-drafts' * (self.drafts == 'sampled')}{'-narrow' * self.narrow}"

    @property
    def units(self) -> int:
        """Of four times `batch` prompts where that is more than one, which take places as these become free."""
        if self.batch > 1:
            return 2 if self.temperature > 0 else 1
        return 12 if self.temperature > 0 else 6

    @property
    def output_tokens(self) -> int:
        """Of a prompt. One wrong token is enough; a wrong distribution takes more to show, a nearly right one most."""
        if self.batch == 1 or self.temperature == 0:
            return 28
        return 72 if self.drafts == "sampled" else 48


@dataclass(frozen=True)
class Opened:
    """Sessions over one pair."""

    wide: Remembering
    narrow: Remembering
    sampling: ReferenceSession
    """Draws its drafts."""

    def engine(self, fault: Fault, asked: Asked) -> Seeded:
        """What is measured, with this fault in it."""
        real = self.narrow if asked.narrow else self.wide
        return Seeded(real, self.sampling if asked.drafts == "sampled" else real.engine, fault)


@contextmanager
def opened() -> Iterator[Opened]:
    """The demo pair in the reference engine. What its steps cost is not timed."""
    no_room = mock.patch.object(costs, "measure", side_effect=torch.OutOfMemoryError)
    with no_room, Adapter().open(PAIR, ENGINE) as session:
        assert isinstance(session, ReferenceSession)
        narrow, sampling = (
            ReferenceSession(session._models, ENGINE, settings.read(options)) for options in ({}, {"drafts": "sampled"})
        )
        target = narrow._engine.target
        target.layout = replace(target.layout, window=NARROW)
        yield Opened(Remembering(session, draws=2**20), Remembering(narrow), sampling)


def write_texts(folder: Path) -> Path:
    """Excerpts of the demo workload, of lengths that differ."""
    path = folder / "texts.jsonl"
    rows = [
        {"text": text.text[: 100 + 41 * i % 160], "category": text.category, "raw": text.raw}
        for i, text in enumerate(prompts.load("demo", limit=TEXTS))
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def run(sessions: Opened, fault: Fault, asked: Asked, texts: Path, path: Path) -> Found:
    """Measure a run into a new file, and judge that file."""
    sweep = Sweep(
        name="broken-reference",
        backends=("reference",),
        pairs=("demo",),
        workloads=(str(texts),),
        draft_lengths=(K,),
        batch_sizes=(asked.batch,),
        output_tokens=asked.output_tokens,
        prompts=asked.units,
        temperature=(asked.temperature,),
        backend={"reference": {"drafts": asked.drafts}},
        repeats=1,
        speed=False,
        dtype="float32",
        device="cpu",
        threads=1,
        seed=SEED,
    )
    with hosted(sessions.engine(fault, asked), Adapter()):
        assert measure(sweep, path).state == "finished"
    with RunFile.open(path) as file:
        (cell,) = (cell for cell in judge(file).cells if cell.draft_length == K)
    return found(cell)
