"""Records survive the wire unchanged, and nothing that is not a record gets through it."""

import json
import time
from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import strategies as drawn

from backends import protocol, wire
from backends.base import Availability, Capabilities
from results.records import (
    Arrival,
    Draft,
    Encoded,
    EngineConfig,
    Generation,
    Pair,
    Prompt,
    Request,
    Round,
    Sampling,
    SessionFacts,
    TokenScore,
)

capabilities = st.builds(
    Capabilities,
    methods=st.lists(drawn.names, max_size=3).map(tuple),
    max_batch_plain=st.none() | drawn.counts,
    max_batch_speculative=st.none() | drawn.counts,
    draft_change=st.sampled_from(("per-request", "per-launch", "baked-in")),
    reveals=st.sampled_from(("rounds", "counts", "per-position", "nothing")),
    token_ids_in=st.booleans(),
    token_ids_out=st.booleans(),
    sampling=st.booleans(),
    scores=st.booleans(),
    captures=st.lists(st.sampled_from(("timing", "rounds")), max_size=2).map(tuple),
    concurrency=st.sampled_from(("batch", "closed-loop")),
    notes=st.lists(drawn.texts, max_size=2).map(tuple),
)
availabilities = st.builds(
    Availability, st.booleans(), st.none() | drawn.texts, st.none() | drawn.texts, drawn.texts, drawn.texts
)
requests = st.builds(
    Request,
    max_new_tokens=st.integers(1, 10**6),
    draft=st.none() | drawn.drafts,
    sampling=drawn.samplings,
    ignore_eos=st.booleans(),
    capture=st.sampled_from(("timing", "rounds")),
)
pairs = st.builds(Pair, drawn.names, drawn.names, st.none() | drawn.names, st.booleans())
encodings = st.builds(Encoded, drawn.token_ids, drawn.token_ids, drawn.token_ids)

asked: st.SearchStrategy[protocol.Ask[Any]] = st.one_of(
    st.just(protocol.Probe()),
    st.just(protocol.Close()),
    st.builds(protocol.Open, pairs, drawn.engines),
    st.builds(protocol.Encode, st.lists(drawn.texts, max_size=3).map(tuple), st.booleans(), st.booleans()),
    st.builds(protocol.Generate, st.lists(drawn.prompts(), max_size=3).map(tuple), requests),
    st.builds(protocol.Score, drawn.prompts(), drawn.token_ids, drawn.samplings),
)
generated = st.builds(
    protocol.Generated,
    st.lists(drawn.generations(), max_size=3).map(tuple),
    drawn.moments,
    drawn.durations,
    drawn.durations,
)


@given(asked)
def test_every_request_arrives_as_it_was_sent(ask: protocol.Ask[Any]) -> None:
    line = protocol.request_line(ask)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert protocol.read_request(line) == ask


@given(
    st.one_of(
        st.tuples(st.just(protocol.Probe()), st.builds(protocol.Probed, availabilities, capabilities)),
        st.tuples(st.just(protocol.Open(Pair("a", "b", None), EngineConfig())), drawn.facts),
        st.tuples(st.just(protocol.Encode((), False, False)), st.lists(encodings, max_size=3).map(tuple)),
        st.tuples(st.just(protocol.Generate((), Request(1))), generated),
        st.tuples(st.just(protocol.Score(Prompt("a", "b", "c", None, ""), (), Sampling())), drawn.scores()),
        st.tuples(st.just(protocol.Close()), st.none()),
    )
)
@settings(max_examples=200)
def test_every_answer_arrives_as_it_was_given(exchange: tuple[protocol.Ask[Any], object]) -> None:
    ask, answer = exchange
    assert protocol.read_reply(ask, protocol.reply_line(ask, answer)) == answer


def test_a_problem_arrives_as_an_exception_that_carries_it() -> None:
    problem = protocol.Problem("oom", "no memory", "Traceback …")
    with pytest.raises(protocol.WorkerProblem, match="no memory") as caught:
        protocol.read_reply(protocol.Probe(), protocol.problem_line(problem))
    assert caught.value.problem == problem


def test_every_field_of_every_record_has_a_way_over_the_wire() -> None:
    for kind in (Generation, SessionFacts, Capabilities, Availability, TokenScore, Encoded, Request):
        with pytest.raises(wire.WireError, match="missing fields") as caught:
            wire.from_json(kind, {})
        assert all(field.name in str(caught.value) for field in fields(kind))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"length": "4"}, r"Draft.length: expected int, not str '4'"),
        ({"length": 4.0}, r"Draft.length: expected int, not float"),
        ({"length": True}, r"Draft.length: expected int, not bool"),
        ({"length": 0}, r"draft length must be at least 1, not 0"),
        ({"k": 4}, r"unknown fields \['k'\], missing fields \[\] of Draft"),
        ({"method": None}, r"Draft.method: expected str, not NoneType"),
    ],
)
def test_a_field_that_is_not_what_was_agreed_is_named_with_its_value(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(wire.WireError, match=complaint):
        wire.from_json(Draft, {"method": "mtp", "length": 4} | change)


def test_a_missing_field_is_an_error_even_where_it_has_a_default() -> None:
    with pytest.raises(wire.WireError, match=r"missing fields \['seed'\] of Sampling"):
        wire.from_json(Sampling, {"temperature": 0, "top_k": None, "top_p": None})


def test_an_error_deep_inside_says_where() -> None:
    data = wire.to_json(Generation(1, (7,), None, (Arrival(1, 1),), rounds=(Round(1, 1, 1), Round(2, 1, 1))))
    assert isinstance(data, dict)
    data["rounds"][1]["drafted"] = "2"
    with pytest.raises(wire.WireError, match=r"^Generation\.rounds\[1\]\.drafted: expected int"):
        wire.from_json(Generation, data)


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        (Draft("mtp", 3.0), "Draft.length: expected int, not float"),
        (Encoded([1], (), ()), "Encoded.head: expected tuple, not list"),
        (Generation(0, (), None, (), statement={"x": (1,)}), "Generation.statement.x: expected JSON, not tuple"),
        (Generation(0, (), None, (), finish_reason="eos"), "finish_reason: expected one of 'length'"),
    ],
)
def test_a_record_that_holds_something_else_never_leaves(record: object, complaint: str) -> None:
    with pytest.raises(wire.WireError, match=complaint):
        wire.to_json(record)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "not JSON"),
        (b"[]", "expected an object"),
        (b'{"op":"fly"}', "unknown op 'fly'; known: probe, open, encode, generate, score, profile, close"),
        (b'{"op":"encode","texts":["a"],"chat":1,"thinking":false}', r"Encode.chat: expected bool, not int 1"),
    ],
)
def test_a_line_that_is_no_request_is_refused(line: bytes, complaint: str) -> None:
    with pytest.raises(wire.WireError, match=complaint):
        protocol.read_request(line)


def test_a_reply_that_is_neither_is_refused() -> None:
    with pytest.raises(wire.WireError, match="either `ok` or `error`"):
        protocol.read_reply(protocol.Close(), b'{"ok":null,"error":{}}')


def test_a_type_that_no_record_uses_is_a_programming_error() -> None:
    @dataclass
    class Odd:
        x: set[int]

    with pytest.raises(TypeError, match="no way to send"):
        wire.to_json(Odd({1}))


def test_thousands_of_arrivals_take_far_less_than_the_generation_they_describe() -> None:
    n = 4000
    long = Generation(
        n,
        tuple(range(n)),
        "x" * n,
        tuple(Arrival(i * 1000, i) for i in range(n)),
        rounds=tuple(Round(4, 2, 3, 10, 20, 40) for _ in range(n)),
    )
    start = time.perf_counter()
    back = wire.from_json(Generation, json.loads(json.dumps(wire.to_json(long))))
    assert back == long
    assert time.perf_counter() - start < 2.0  # takes 0.1 s; 4,000 tokens take tens of seconds
