"""Does the sampling test tell right from wrong samplers? Simulated draws, judged by the code that judges real ones.

`python -m tests.statistics.study_sampling` writes the table of docs/method.md, between its own markers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from results import goodness, sampling
from results.certificate import SamplingCertificate
from results.draws import Draws, Where
from tests.support import samplers
from tests.support.samplers import Judge, Outputs, Pool

PAGE = Path(__file__).parents[2] / "docs" / "method.md"
BETWEEN = re.compile(r"(?<=<!-- sampling:begin -->\n\n).*?(?=\n\n<!-- sampling:end -->)", re.DOTALL)
HEALTHY = 1_000
"""Cells of each correct sampler."""
CELLS = 400
"""Of the others: a share is then known to 2.5 points (one standard error) at worst."""
TOKENS = 1_000

VARIED = samplers.pool(1, 6)
"""Entropies of 0 to 3.6 nats, 1.6 in the mean; the favourite has half of the probability."""
SURER = samplers.pool(1, 6, surer=1.5)
"""The same target; its drafter is surer than it should be."""
PEAKED = samplers.pool(15, 30)
"""0.2 nats in the mean; the favourite has 93 % of the probability."""


@dataclass(frozen=True)
class Study:
    """One row of the table."""

    name: str
    pool: Pool
    judge: Judge
    cells: int
    tokens: int = TOKENS


FAVOURITES = Study("the drafter's favourites, accepted with p", VARIED, samplers.favourite_drafts, HEALTHY)
DRAWN = Study("drafts drawn from q, accepted with min(1, p/q)", VARIED, samplers.drawn_drafts, HEALTHY)
DRAWN_PEAKED = Study("drafts drawn from q, a target of 0.2 nats", PEAKED, samplers.drawn_drafts, HEALTHY)
DRAWN_SURER = Study("drafts drawn from a q surer than p", SURER, samplers.drawn_drafts, CELLS)
CORRECT = (FAVOURITES, DRAWN, DRAWN_SURER, DRAWN_PEAKED)
TRANSFORMERS = Study(
    "the drafter's favourites, judged as if drawn from q (as Transformers does)",
    VARIED,
    samplers.favourites_as_if_drawn,
    CELLS,
)
COOLER = Study("draws at 0.75 of the temperature (the positive control)", VARIED, samplers.at_temperature(0.75), CELLS)
WARMER = Study("draws at 1.3 times the temperature", VARIED, samplers.at_temperature(1.3), CELLS)


@lru_cache
def outputs(study: Study) -> Outputs:
    """The sampler's tokens."""
    return samplers.sample(study.pool, study.judge, study.cells, study.tokens, seed=1)


@lru_cache
def certificates(study: Study) -> list[SamplingCertificate]:
    """Of every cell: its tokens split by their places, beside as many draws of the target itself."""
    drawn, (context, token) = outputs(study), _own(study.pool, study.cells, study.tokens)
    return [
        sampling.judged(
            {"draft positions": _some(study, drawn, cell, drawn.drafted[cell]),
             "bonus positions": _some(study, drawn, cell, ~drawn.drafted[cell])},
            study.pool.draws(context[cell], token[cell]),
            None,
        )
        for cell in range(study.cells)
    ]  # fmt: skip


@lru_cache
def _own(pool: Pool, cells: int, tokens: int) -> tuple[samplers.Ints, samplers.Ints]:
    return samplers.own(pool, cells, tokens, seed=2)


def _some(study: Study, found: Outputs, cell: int, keep: np.ndarray) -> Draws:
    return study.pool.draws(found.context[cell][keep], found.token[cell][keep])


def biased(study: Study) -> int:
    """Cells that are called biased."""
    return sum(found.verdict == "biased" for found in certificates(study))


@lru_cache
def leaning() -> Study:
    """A sampler with exactly the bias that certificates of its size state as caught in 4 of 5 runs."""
    stated = np.mean([found.power_at for found in certificates(DRAWN)[:CELLS]])  # None would be no number
    distance = (1 - VARIED.p.max(axis=1)).mean()
    name = f"a bias of {stated:.3f} towards the target's favourite, stated as caught in 80 %"
    return Study(name, VARIED, samplers.leaning(float(stated / distance)), CELLS)


def split_by_outcome(study: Study) -> int:
    """Cells that would be called biased if tokens were split by whether the draft was accepted or corrected."""
    drawn, called = outputs(study), 0
    for cell in range(CELLS):
        drafted, accepted = drawn.drafted[cell], drawn.accepted[cell]
        parts: dict[Where, Draws] = {  # the names of places, for want of others
            "draft positions": _some(study, drawn, cell, accepted),
            "all positions": _some(study, drawn, cell, drafted & ~accepted),
            "bonus positions": _some(study, drawn, cell, ~drafted),
        }
        tests = goodness.tests("speculative", parts, parts["bonus positions"])
        called += any(test.adjusted <= goodness.LEVEL for test in tests)
    return called


def rows() -> Iterator[tuple[str, str, int, int]]:
    """(sampler, is it correct, called biased, of cells)."""
    for study in CORRECT:
        yield study.name, "yes", biased(study), study.cells
    for study in (TRANSFORMERS, COOLER, WARMER, leaning()):
        yield study.name, "no", biased(study), study.cells
    for study in (FAVOURITES, DRAWN_SURER):
        yield f"{study.name}; split by accepted and corrected", "yes", split_by_outcome(study), CELLS


def table() -> str:
    """The table of docs/method.md."""
    lines = ["| sampler | correct | called biased | of cells |", "| --- | --- | ---: | ---: |"]
    lines += [f"| {name} | {correct} | {called} | {cells:,} |" for name, correct, called, cells in rows()]
    return "\n".join(lines)


def committed() -> str:
    """The table as the page has it."""
    found = BETWEEN.search(PAGE.read_text(encoding="utf-8"))
    assert found, "docs/method.md: no table between <!-- sampling:begin --> and <!-- sampling:end -->"
    return found[0]


if __name__ == "__main__":
    made = table()
    page, places = BETWEEN.subn(lambda _: made, PAGE.read_text(encoding="utf-8"))
    assert places == 1, "docs/method.md: one place between <!-- sampling:begin --> and <!-- sampling:end --> is needed"
    PAGE.write_text(page, encoding="utf-8")
