"""Rows that stand still while a round's parts are measured: what they hold, and that they hold it to the end."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from the_demo_pair import ENGINE, PAIR
from tiny_pairs import make
from torch.utils._pytree import tree_map

from backends.reference import Adapter, alone, costs, engine, floor
from backends.reference.engine import Running
from backends.reference.session import ReferenceSession
from backends.reference.steps import Rule
from results.records import Draft, Request

pytestmark = pytest.mark.model
MTP = replace(ENGINE, methods=("mtp",))
PROMPTS = [tuple((7 * i + 13 * j) % 900 + 5 for j in range(40 - i)) for i in range(3)]
DRAFTED = Request(12, Draft("mtp", 3), ignore_eos=True)


class Replayed:
    """As a CUDA graph: the same tensors every time, with new contents."""

    def __init__(self, step: Callable[[], Any]) -> None:
        self._step, self._result = step, step()

    def __call__(self, *_: object) -> Any:
        tree_map(lambda old, new: old.copy_(new), _leaves(self._result), _leaves(self._step()))
        return self._result


def _leaves(result: Any) -> Any:
    """Tensors of a step's result."""
    names = [*result.__slots__] if hasattr(result, "__slots__") else []
    parts = [getattr(result, name) for name in names]
    return [part for part in parts if isinstance(part, torch.Tensor)] + [dict(p) for p in parts if isinstance(p, dict)]


@pytest.fixture
def session() -> Iterator[ReferenceSession]:
    with Adapter().open(PAIR, MTP) as opened:
        assert isinstance(opened, ReferenceSession)
        yield opened


def test_rows_stand_at_the_beginning_of_a_round(session: ReferenceSession) -> None:
    """Their last tokens are those that follow the prompts, and no verification moves them."""
    running = session.running(PROMPTS, DRAFTED)
    running.rows.last.fill_(1)
    with alone.standing(running, PROMPTS) as logits:
        assert running.rows.last.tolist() == logits.argmax(-1).tolist()
        view = running.look()
        running.verify(view, running.draft(view))
        assert running.rows.lengths.tolist() == [40, 39, 38]
    assert running.rows.lengths.tolist() == [0, 0, 0]


def test_the_experts_of_a_floor_do_not_depend_on_what_ran_before(tmp_path: Path) -> None:
    with Adapter().open(make(tmp_path, "MoE"), MTP) as opened:
        assert isinstance(opened, ReferenceSession)
        running = opened.running(PROMPTS, DRAFTED)
        found = []
        for token in (1, 100, 1500):
            running.rows.last.fill_(token)
            found.append(floor._chosen(running, PROMPTS))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("path", ["eager", "graphs"])
def test_every_pass_that_is_timed_is_over_the_prompts(
    session: ReferenceSession, monkeypatch: pytest.MonkeyPatch, path: Any
) -> None:
    """Also where looking again tells the other steps where the rows are, and the host's part left rows of its own."""
    monkeypatch.setattr(engine, "paths", SimpleNamespace(executed=lambda step, *_: step, Captured=Replayed))
    rows, drafter = session.running(PROMPTS, DRAFTED).rows, session._engine.drafter
    batches = [Running(rows, drafter, Rule(k), path, k) for k in (3, 0)]
    began: list[list[int]] = []
    hidden = rows.target.hidden

    def spy(ids: torch.Tensor, positions: torch.Tensor, *given: Any) -> torch.Tensor:
        if positions.shape[1] <= 4:  # no prefill
            began.append(positions[:, 0].tolist())
        return hidden(ids, positions, *given)

    monkeypatch.setattr(rows.target, "hidden", spy)
    costs._parts(batches, PROMPTS)
    assert len(began) > alone.FEWEST
    assert {*map(tuple, began)} == {(40, 39, 38)}
