"""Every engine in a hundred seeded runs: how many of them each check flagged.

Greedy engines and those at T > 0 share nothing but the pair, and so run in two processes.
"""

import multiprocessing
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from support.broken import catalogue, runs
from support.broken.catalogue import Entry
from support.broken.session import Remembering, ending_with
from support.permutation_pair import DEMO

from backends.hf.decoding import DecodingSession
from backends.transformers import Adapter
from results.records import EngineConfig, Pair

RUNS = 100
PAIR = Pair("demo", str(DEMO / "target"), str(DEMO / "assistant"))
ENGINE = EngineConfig(dtype="float32", device="cpu", threads=1, methods=("mtp",))


@dataclass(frozen=True)
class Counted:
    """An engine's runs, counted."""

    entry: Entry
    runs: int
    flagged: Counter[str]
    """Check -> runs that it flagged."""
    caught: int
    """Runs that any check flagged."""
    certified: int
    """Runs whose output was certified as lossless, whatever else was found."""
    tested: int
    """Outputs (greedy) or tokens (T > 0) that the certificate speaks for, in the run that has fewest."""


def count(entry: Entry, found: Sequence[runs.Found]) -> Counted:
    """Of one engine."""
    return Counted(
        entry=entry,
        runs=len(found),
        flagged=Counter(chain.from_iterable(each.flags for each in found)),
        caught=sum(bool(each.flags) for each in found),
        certified=sum(each.certified for each in found),
        tested=min(each.tested for each in found),
    )


def measured(numbers: Iterable[int] = range(RUNS)) -> dict[str, Counted]:
    """All engines, by name. numbers: of the runs."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        families = (catalogue.SAMPLED, catalogue.GREEDY)
        found = pool.map(_measured, families, [[*numbers]] * len(families))
        by_name = {each.entry.name: each for each in chain.from_iterable(found)}
    return {entry.name: by_name[entry.name] for entry in catalogue.EVERY}


def _measured(entries: Sequence[Entry], numbers: Sequence[int]) -> list[Counted]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        session = stack.enter_context(Adapter().open(PAIR, ENGINE))
        assert isinstance(session, DecodingSession)
        real, ending = Remembering(session, runs.SAMPLED.draws), Remembering(ending_with(session, *catalogue.EOS))
        return [_of(entry, ending if entry.ends else real, folder / str(i), numbers) for i, entry in enumerate(entries)]


def _of(entry: Entry, real: Remembering, folder: Path, numbers: Sequence[int]) -> Counted:
    folder.mkdir()
    texts = runs.write_texts(folder, runs.size_of(entry))
    return count(entry, [runs.run(entry, real, texts, folder / f"{number}.sqlite", number) for number in numbers])
