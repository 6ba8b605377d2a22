"""Any batch, any prompts, any ends: every row's text is what Transformers decodes plainly, and its rounds add up."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from the_demo_pair import ENGINE
from tiny_pairs import make

from backends import transformers
from backends.reference import Adapter
from backends.reference.decoding import Order, decode
from backends.reference.session import ReferenceSession
from results.records import Draft, Prompt, Request

pytestmark = pytest.mark.model
MTP = replace(ENGINE, methods=("mtp",))
LENGTHS = (1, 2, 7, 15, 16, 17, 23, 40)
"""Of prompts, on both sides of a tiny pair's window of 16."""
LONGEST = 20
"""Of a continuation, tokens: past the window's end for every prompt."""


@dataclass(frozen=True)
class Bench:
    """An engine, prompts, and what Transformers makes of each."""

    session: ReferenceSession
    prompts: list[tuple[int, ...]]
    texts: list[tuple[int, ...]]


@pytest.fixture(scope="module", params=["edge", "dense", "MoE"])
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    pair = make(tmp_path_factory.mktemp(request.param), request.param)
    prompts = [tuple(range(100 + 50 * i, 100 + 50 * i + n)) for i, n in enumerate(LENGTHS)]
    asked = [Prompt(f"p{i}", "made", "made", ids, None) for i, ids in enumerate(prompts)]
    with transformers.Adapter().open(pair, MTP) as theirs:
        texts = [theirs.generate([each], Request(LONGEST, ignore_eos=True))[0].token_ids or () for each in asked]
    with Adapter().open(pair, MTP) as session:
        assert isinstance(session, ReferenceSession)
        yield Bench(session, prompts, texts)


@dataclass(frozen=True)
class Walk:
    """What is asked of a batch."""

    rows: list[int]
    """Prompts, by their place in the bench; one may come twice."""
    places: int
    k: int
    limit: int
    ends: list[tuple[int, int]]
    """Tokens that end a text: those at these places of these prompts' continuations."""


@st.composite
def walks(draw: st.DrawFn) -> Walk:
    rows = draw(st.lists(st.integers(0, len(LENGTHS) - 1), min_size=1, max_size=6))
    ends = st.tuples(st.sampled_from(rows), st.integers(0, LONGEST - 1))
    return Walk(
        rows,
        draw(st.integers(1, min(4, len(rows)))),
        draw(st.integers(0, 5)),
        draw(st.integers(1, LONGEST)),
        draw(st.lists(ends, max_size=2)),
    )


def until(text: tuple[int, ...], eos: frozenset[int], limit: int) -> list[int]:
    """What is left of a text that ends at any of these tokens, or at so many."""
    end = next((at + 1 for at, token in enumerate(text) if token in eos), limit)
    return [*text[: min(end, limit)]]


@settings(max_examples=60, derandomize=True)
@given(walk=walks())
def test_every_row_is_the_target_s_own_text_and_its_rounds_add_up(bench: Bench, walk: Walk) -> None:
    eos = frozenset(bench.texts[row][at] for row, at in walk.ends)
    prompts = [bench.prompts[row] for row in walk.rows]
    request = Request(LONGEST, Draft("mtp", walk.k) if walk.k else None, in_flight=walk.places)
    running: Any = bench.session.running(prompts, request)
    rows = decode(running, prompts, Order(replace(request, max_new_tokens=walk.limit), eos, None))
    assert [row.index for row in rows] == [*range(len(prompts))]
    for row, asked in zip(rows, walk.rows, strict=True):
        text = until(bench.texts[asked], eos, walk.limit)
        assert row.tokens == text
        assert row.ended == (text[-1] in eos)
        assert 1 + sum(seen.emitted for seen in row.rounds) == len(text)
        assert all(seen.drafted == walk.k for seen in row.rounds)
        assert all(0 <= seen.kept <= walk.k for seen in row.rounds)
        assert all(seen.emitted == seen.kept + 1 for seen in row.rounds[:-1])
        assert all(1 <= seen.emitted <= seen.kept + 1 for seen in row.rounds[-1:])
        assert [arrival.tokens for arrival in row.arrivals] == [
            1 + sum(seen.emitted for seen in row.rounds[:n]) for n in range(len(row.rounds) + 1)
        ]


def test_the_tiny_pairs_accept_some_drafts_and_refuse_others(bench: Bench) -> None:
    """Otherwise the walks above would prove little."""
    running: Any = bench.session.running(bench.prompts, Request(LONGEST, Draft("mtp", 3), in_flight=4))
    rows = decode(running, bench.prompts, Order(Request(LONGEST), frozenset(), None))
    kept = [seen.kept for row in rows for seen in row.rounds[:-1]]
    assert {0, 1} <= {*kept}
    assert len({row.tokens[-1] for row in rows}) > 1
