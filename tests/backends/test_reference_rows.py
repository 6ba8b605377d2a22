"""Rows and steps are made once for all arms of a sweep, and compiled before a text begins."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from backends.reference import Adapter, paths
from backends.reference.engine import Running, capacity_of, width_of
from backends.reference.session import ReferenceSession
from results.records import Draft, EngineConfig, Prompt, Request
from workloads.pairs import resolve

pytestmark = pytest.mark.model

ARMS = (None, 1, 4, 8, 12)


@contextmanager
def opened(max_context: int | None, **options: str) -> Iterator[ReferenceSession]:
    engine = EngineConfig(
        dtype="float32", device="cpu", threads=1, max_context=max_context, methods=("mtp",), options=options
    )
    with Adapter().open(resolve("random:tiny-31B"), engine) as session:
        assert isinstance(session, ReferenceSession)
        yield session


def request(k: int | None, tokens: int = 8) -> Request:
    return Request(tokens, None if k is None else Draft("mtp", k))


def ids(length: int) -> tuple[int, ...]:
    return tuple(range(5, 5 + length))


@pytest.mark.parametrize("context", [64, 63, 56, 48])
def test_an_arm_makes_the_steps_of_no_other_anew(context: int) -> None:
    with opened(context) as session:
        first = {k: session.running([ids(context - 8)], request(k)) for k in ARMS}
        assert [k for k in ARMS if session.running([ids(context - 8)], request(k)) is not first[k]] == []


def test_ever_longer_prompts_make_them_anew_a_few_times_only() -> None:
    with opened(None) as session:
        made = {id(session.running([ids(length)], request(4))): length for length in range(20, 500, 8)}
        assert len(made) <= 4


@pytest.mark.parametrize(("k", "width"), [(0, 9), (8, 9), (9, 17), (16, 17), (17, 33)])
def test_widths_double(k: int, width: int) -> None:
    assert width_of(k) == width


@pytest.mark.parametrize(("longest", "known", "capacity"), [(55, True, 64), (56, True, 128), (250, True, 320),
                                                            (250, False, 512), (20, False, 64)])  # fmt: skip
def test_room_is_for_the_longest_text_and_a_pass(longest: int, known: bool, capacity: int) -> None:
    assert capacity_of(longest, 9, known=known) == capacity


@pytest.fixture
def primed(monkeypatch: pytest.MonkeyPatch) -> list[Running]:
    """Steps that were primed; what would be compiled runs as it is written."""
    seen: list[Running] = []
    prime = Running.prime

    def remembered(running: Running, prompt: tuple[int, ...]) -> None:
        prime(running, prompt)
        assert not running.rows.active.any() and not running.rows.lengths.any()
        seen.append(running)

    monkeypatch.setattr(paths, "compiled", lambda step, *_, **__: step)
    monkeypatch.setattr(Running, "prime", remembered)
    return seen


def test_steps_are_compiled_before_a_text_begins_and_once(primed: list[Running]) -> None:
    prompts = [Prompt("p", "w", "c", ids(20), None), Prompt("q", "w", "c", ids(30), None)]
    with opened(64) as eager:
        right = [one.token_ids for one in eager.generate(prompts, request(4))]
    assert not primed
    with opened(64, path="compiled") as session:
        for _ in range(2):
            assert [one.token_ids for one in session.generate(prompts, request(4))] == right
    assert len(primed) == 1
