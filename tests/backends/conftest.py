"""The demo pair, opened once for all tests that need it, and its prompts."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from the_demo_pair import DEMO, ENGINE, PAIR

from backends.base import Session
from backends.transformers import Adapter
from results.records import Prompt


@pytest.fixture(scope="session")
def demo() -> Iterator[Session]:
    with Adapter().open(PAIR, ENGINE) as session:
        yield session


@pytest.fixture(scope="session")
def references() -> list[dict[str, Any]]:
    """12 held-out prompts with the 96 tokens that the target alone gives (float32, another session's work)."""
    return [json.loads(line) for line in (DEMO / "prompts.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="session")
def prompts(references: list[dict[str, Any]]) -> list[Prompt]:
    return [
        Prompt(f"demo/{i:02}", "demo", "coding", tuple(reference["prompt_ids"]), None)
        for i, reference in enumerate(references)
    ]
