"""The prompt sets shipped with mtpbench: one TOML file per category, and the demo pair's own texts."""

import json
import tomllib
from functools import cache

from workloads.pairs import DATA
from workloads.source import Source

MIXED = "mixed"
"""Every category of the self-written sets; the default workload."""
DEMO = "demo"
"""In-distribution texts of the demo pair, held out from its training."""
DEMO_LICENCE = "PSF-2.0"

CATEGORIES: tuple[str, ...] = tuple(sorted(path.stem for path in (DATA / "sets").glob("*.toml")))


@cache
def category(name: str) -> tuple[Source, ...]:
    """The prompts of one self-written category, in the order of the file."""
    with (DATA / "sets" / f"{name}.toml").open("rb") as file:
        table = tomllib.load(file)
    return tuple(
        Source(
            key=f"{name}/{key}",
            workload=name,
            category=name,
            text=prompt["text"].strip("\n"),
            licence=table["licence"],
        )
        for key, prompt in table["prompts"].items()
    )


@cache
def about(name: str) -> str:
    """One line on what a category asks for."""
    with (DATA / "sets" / f"{name}.toml").open("rb") as file:
        return str(tomllib.load(file)["about"])


@cache
def demo() -> tuple[Source, ...]:
    """Excerpts of held-out files of the demo pair's training text (see data/demo/NOTICE).

    Its training put <bos> at the start of each file, so that an excerpt from the middle has none before it.
    """
    lines = (DATA / "demo" / "workload.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(
        Source(
            key=f"{DEMO}/{row['id']}",
            workload=DEMO,
            category=row["category"],
            text=row["text"],
            licence=DEMO_LICENCE,
            raw=True,
            bos=row["offset"] == 0,
        )
        for row in map(json.loads, lines)
    )
