"""A simulated run file of any size, written fast: by default 100,000 generations and 1,000,000 rounds.

Two prompt lengths, a plain arm, its control and five draft lengths, mirrored blocks, an instrumented pass with rounds,
prompts of 22 categories. Acceptance is geometric with a rate of its own per category; times follow the cost model
(METHOD: k draft steps, one target pass, host overhead per round) with noise and a slow drift.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from results.records import (
    CONTROL,
    HEADLINE,
    INSTRUMENTED,
    PLAIN,
    SPECULATIVE,
    Cell,
    Draft,
    EngineConfig,
    Launch,
    Phase,
    Sampling,
    SessionFacts,
)
from results.store import RunWriter

LENGTHS = (1, 2, 3, 4, 6)
"""Draft lengths: seven arms with plain and control."""
PROMPT_TOKENS = (64, 256)
OUTPUT_TOKENS = 128
CATEGORIES = tuple(f"category-{index:02}" for index in range(22))
TARGET_NS, DRAFT_NS, WIDER_NS, HOST_NS = 7_000_000, 600_000, 150_000, 400_000
"""A target pass of one token, a draft step, each further token of a pass, host overhead of a round."""
START_NS = 1_780_000_000_000_000_000
VOCABULARY = 4096


@dataclass(frozen=True, slots=True)
class BigRun:
    """What was written."""

    generations: int
    rounds: int

    def __str__(self) -> str:
        return f"{self.generations:,} generations, {self.rounds:,} rounds"


@dataclass(frozen=True, slots=True)
class _Arm:
    cell_id: int
    k: int
    """Draft length; 0 is plain."""


def write_big_run(path: Path, *, units: int = 1430, repeats: int = 2, seed: int = 0) -> BigRun:
    """Write a finished run file of 2 groups x `units` x 7 arms x (2 `repeats` + 1) generations."""
    rng = np.random.default_rng(seed)
    with RunWriter.create(path, _manifest(seed)) as writer:
        launch = writer.add_launch(_launch())
        groups = [[_Arm(writer.add_cell(cell), cell.draft.length if cell.draft else 0) for cell in _cells(group)]
                  for group in range(len(PROMPT_TOKENS))]  # fmt: skip
        for group in range(len(groups)):
            writer.set_stopped(group, "all repeats done")
        writer.finish("finished")
    with closing(sqlite3.connect(path)) as connection:
        rows = _Rows(rng, launch, units)
        for table, found in rows.tables(groups, repeats):
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(found[0]))})", found)
        connection.commit()
    return BigRun(rows.generations, rows.rounds)


class _Rows:
    """Rows of prompt, trial, generation and round, a block at a time; far faster than building every record."""

    def __init__(self, rng: np.random.Generator, launch: int, units: int) -> None:
        self.rng = rng
        self.launch = launch
        self.units = units
        self.generations = 0
        self.rounds = 0
        self.clock_ns = START_NS

    def tables(self, groups: list[list[_Arm]], repeats: int) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        """(table, rows) in an order that keeps every reference valid."""
        for group, prompt_tokens in enumerate(PROMPT_TOKENS):
            yield "prompt", [self._prompt(group, unit, prompt_tokens) for unit in range(self.units)]
        outputs = self.rng.integers(3, VOCABULARY, (len(groups), self.units, OUTPUT_TOKENS), dtype="<i4")
        for repeat in range(repeats):
            for unit in range(self.units):
                for group, arms in enumerate(groups):
                    yield from self._block(group, arms, unit, repeat, outputs[group, unit].tobytes())

    def _prompt(self, group: int, unit: int, tokens: int) -> tuple[Any, ...]:
        ids = self.rng.integers(3, VOCABULARY, tokens, dtype="<i4").tobytes()
        category = CATEGORIES[unit % len(CATEGORIES)]
        key = f"{category}/{unit // len(CATEGORIES):03}"
        return (1 + group * self.units + unit, key, "simulated", category, ids, f"Prompt {key} …", 0)

    def _block(
        self, group: int, arms: list[_Arm], unit: int, repeat: int, output: bytes
    ) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
        order = [arms[index] for index in self.rng.permutation(len(arms))]
        visits: list[tuple[Phase, int, _Arm]] = [(HEADLINE, 0, arm) for arm in order]
        visits += [(HEADLINE, 1, arm) for arm in reversed(order)]
        if repeat == 0:
            visits += [(INSTRUMENTED, 0, arm) for arm in order]
        trials, generations, rounds = [], [], []
        for phase, half, arm in visits:
            self.generations += 1
            identity = self.generations
            timed = phase == INSTRUMENTED
            accepted = self._accepted(arm.k, unit)
            emitted = np.minimum(accepted + 1, OUTPUT_TOKENS - 1 - np.concatenate(([0], np.cumsum(accepted + 1)[:-1])))
            spans = self._spans(arm.k, len(accepted), group)
            total = spans.sum(axis=0)
            arrivals = np.empty((len(emitted) + 1, 2), "<i8")
            arrivals[:, 0] = np.cumsum(np.concatenate(([9_000_000 * (1 + group)], total)))
            arrivals[:, 1] = np.cumsum(np.concatenate(([1], emitted)))
            wall = int(arrivals[-1, 0]) + 200_000
            place = (unit, repeat, half, phase, self.clock_ns, wall, wall)
            trials.append((identity, arm.cell_id, self.launch, *place, None, None, None, "[]"))
            self.clock_ns += wall + 1_000_000
            steps = np.stack((spans[1], total), axis=1).astype("<i8").tobytes() if timed and not arm.k else None
            generations.append(
                (
                    *(identity, identity, 0, 1 + group * self.units + unit),
                    *(OUTPUT_TOKENS, 1, PROMPT_TOKENS[group], output, None, arrivals.tobytes(), steps),
                    *(int(timed and arm.k > 0), None, None, None, None, "length", 0, None, "{}"),
                )
            )
            if timed and arm.k:
                self.rounds += len(accepted)
                columns = (accepted, emitted, *spans[:2], total)
                rounds += [
                    (identity, index, arm.k, *values)
                    for index, values in zip(count(), zip(*(c.tolist() for c in columns), strict=True))
                ]
        yield "trial", trials
        yield "generation", generations
        if rounds:
            yield "round", rounds

    def _accepted(self, k: int, unit: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Accepted drafts of each round until the output is full."""
        if k == 0:
            return np.zeros(OUTPUT_TOKENS - 1, np.int64)
        alpha = 0.35 + 0.3 * (unit % len(CATEGORIES)) / len(CATEGORIES)
        drawn = np.minimum(self.rng.geometric(1 - alpha, OUTPUT_TOKENS) - 1, k)
        needed = int(np.searchsorted(np.cumsum(drawn + 1), OUTPUT_TOKENS - 1)) + 1
        return drawn[:needed]

    def _spans(self, k: int, n: int, group: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(3, n): nanoseconds of drafting, of the target pass, of the host."""
        drift = 1 + 0.03 * np.sin(self.clock_ns / 6e11)
        costs = np.array([[k * DRAFT_NS], [TARGET_NS + k * WIDER_NS + group * 500_000], [HOST_NS]])
        return (costs * drift * np.exp(self.rng.normal(0, 0.02, (3, n)))).astype(np.int64)


def _cells(group: int) -> Iterator[Cell]:
    for role, draft in (
        (PLAIN, None),
        (CONTROL, None),
        *((SPECULATIVE, Draft("mtp", k)) for k in LENGTHS),
    ):
        yield Cell(
            group=group,
            role=role,
            backend="transformers",
            pair="demo",
            draft=draft,
            batch_size=1,
            prompt_tokens=PROMPT_TOKENS[group],
            output_tokens=OUTPUT_TOKENS,
            sampling=Sampling(),
            dtype="float32",
            device="cpu",
        )


def _launch() -> Launch:
    facts = SessionFacts({"torch": "2.13.0"}, "cpu", "float32", (1,), 2048, VOCABULARY, 1, 40_000_000, 2_700_000)
    engine = EngineConfig("float32", "cpu", threads=1, max_context=384, methods=("mtp",))
    return Launch("transformers", "demo", engine, START_NS, facts, "simulated.log")


def _manifest(seed: int) -> dict[str, Any]:
    return {
        "schema_of": "0.1.0",
        "name": "simulated",
        "sweep": {"backends": ["transformers"], "pairs": ["demo"], "draft_lengths": list(LENGTHS)},
        "seed": seed,
        "workload": ["simulated"],
        "argv": ["mtpbench", "run"],
        "created_unix_ns": START_NS + seed,
        "provenance": {"cpu": {"model": "simulated"}, "packages": {"torch": "2.13.0"}},
    }
