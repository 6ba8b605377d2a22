"""The demo pair, opened once, and texts that it decodes."""

import json
from collections.abc import Iterator

import pytest
from support.broken import catalogue
from support.broken.session import Remembering, ending_with
from support.broken.suite import ENGINE, PAIR
from support.permutation_pair import DEMO

from backends.hf.decoding import DecodingSession
from backends.transformers import Adapter
from results.records import Prompt

PROMPT_TOKENS = 32


@pytest.fixture(scope="session")
def opened() -> Iterator[DecodingSession]:
    with Adapter().open(PAIR, ENGINE) as session:
        assert isinstance(session, DecodingSession)
        yield session


@pytest.fixture(scope="session")
def real(opened: DecodingSession) -> Remembering:
    return Remembering(opened)


@pytest.fixture(scope="session")
def ending(opened: DecodingSession) -> Remembering:
    """The same engine where a line's end ends a text."""
    return Remembering(ending_with(opened, *catalogue.EOS))


@pytest.fixture(scope="session")
def prompts(real: Remembering) -> list[Prompt]:
    """Six texts of the demo workload, cut to the same length."""
    lines = (DEMO / "workload.jsonl").read_text("utf-8").splitlines()[:6]
    return [
        Prompt(text["id"], "demo", text["category"], (*whole.head, *whole.content)[:PROMPT_TOKENS], None)
        for text in map(json.loads, lines)
        for whole in [real.encode(text["text"], chat=False, thinking=False)]
    ]
