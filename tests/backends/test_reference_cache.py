"""Which keys a pass and a drafter see, after any history of prompts, rounds, rejections and changing places, against
plain lists."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.reference.cache import FULL, SLIDING, Filling, Layout, Slots, prefill_masks, ring
from backends.reference.models import Drafter, Target
from backends.reference.rows import Rows
from backends.reference.steps import Drafted, Rule, View, looking, verifying
from backends.reference.verdict import Dice

LAYERS = {FULL: 1, SLIDING: 0}
LONGEST = 24
"""Of a prompt."""


@dataclass(frozen=True)
class Round:
    kept: tuple[int, ...]
    """By each row, whether a prompt has its place or not."""


@dataclass(frozen=True)
class Fill:
    """Prompts take these places, whether those are free or not."""

    lengths: dict[int, int]


@dataclass(frozen=True)
class Leave:
    place: int


@dataclass(frozen=True)
class History:
    window: int
    k: int
    spare: int
    """Tokens by which the widest pass that the rows are made for is wider than k + 1."""
    rows: int
    events: Sequence[Round | Fill | Leave]

    @property
    def capacity(self) -> int:
        """Just enough for the longest row that could come of it."""
        return LONGEST + (self.k + 1) * (sum(isinstance(event, Round) for event in self.events) + 1)


@st.composite
def histories(draw: st.DrawFn) -> History:
    rows, k = draw(st.integers(1, 3)), draw(st.integers(0, 6))
    places = st.integers(0, rows - 1)
    prompts = st.integers(1, LONGEST)
    everywhere = st.fixed_dictionaries(dict.fromkeys(range(rows), prompts)).map(Fill)
    kept = st.tuples(*[st.integers(0, k)] * rows).map(Round)
    fill = st.dictionaries(places, prompts, min_size=1).map(Fill)
    events = [draw(everywhere), *draw(st.lists(st.one_of(kept, kept, fill, places.map(Leave)), max_size=12))]
    return History(draw(st.integers(2, 20)), k, draw(st.integers(0, 4)), rows, events)


@dataclass
class Naive:
    """One row as a list: the token written at each position, and how many of them are its text's."""

    written: list[int] = field(default_factory=list)
    length: int = 0
    active: bool = False

    def write(self, tokens: Sequence[int]) -> None:
        """A pass: what was rejected before is gone, what may be rejected now is there."""
        self.written[self.length :] = tokens

    def seen_by_target(self, position: int, kind: str, window: int) -> list[int]:
        return self.written[max(0, position - window + 1) if kind == SLIDING else 0 : position + 1]

    def seen_by_drafter(self, kind: str, window: int) -> list[int]:
        """The text but for its last token, of which nothing is written yet."""
        return self.written[max(0, self.length - window - 1) if kind == SLIDING else 0 : self.length]

    def lent_by_transformers(self, kind: str, window: int, k: int) -> list[int]:
        """By its own steps: what the pass returned, cut to the text's length, then the last window + 1."""
        text = self.length + 1
        if kind == FULL:
            return self.written[:text]
        returned = self.written[-(window - 1 + k + 1) :]
        return returned[:text][-(window + 1) :]


class Recording:
    """A target whose keys and values are its tokens, so that what a mask shows can be read."""

    hidden_size = 1

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.text = SimpleNamespace(embed_tokens=SimpleNamespace(weight=torch.zeros(1, 1)))

    def hidden(self, ids: torch.Tensor, positions: torch.Tensor, masks: Any, cache: Slots | Filling) -> torch.Tensor:
        keys = ids.float()[:, None, :, None]
        for layer in LAYERS.values():
            cache.update(keys, keys, layer)
        return ids.float()[..., None]

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.zeros(*hidden.shape[:-1], 1)


class Playing:
    """A history, event by event, on the engine's rows and on lists."""

    def __init__(self, history: History) -> None:
        layout = Layout(heads=((1, 1), (1, 1)), kinds=(SLIDING, FULL), window=history.window)
        widest = history.k + 1 + history.spare
        self.k, self.window = history.k, history.window
        self.rows = Rows(cast(Target, Recording(layout)), history.rows, history.capacity, widest)
        self.lists = [Naive() for _ in range(history.rows)]
        self._tokens = count(1)

    def fresh(self, *shape: int) -> torch.Tensor:
        """Tokens that were never seen before."""
        numbers = [next(self._tokens) for _ in range(torch.Size(shape).numel())]
        return torch.tensor(numbers, dtype=torch.long).view(shape)

    def fill(self, lengths: dict[int, int]) -> None:
        prompts = [tuple(self.fresh(n).tolist()) for n in lengths.values()]
        self.rows.fill([*lengths], prompts)
        for place, prompt in zip(lengths, prompts, strict=True):
            self.lists[place] = Naive([*prompt], len(prompt), active=True)

    def leave(self, place: int) -> None:
        self.rows.leave(place)
        self.lists[place] = Naive()

    def look(self, *, sees_rejected: bool = False) -> View:
        self.rows.last.copy_(self.fresh(self.rows.size))
        drafter = cast(Drafter, SimpleNamespace(window=self.window))
        return looking(self.rows, drafter, Rule(self.k, sees_rejected=sees_rejected))()

    def verify(self, view: View, kept: Sequence[int]) -> None:
        """The pass; the lists keep what was rejected until the next one, and their lengths until `advance`."""
        drafts, size = self.fresh(self.rows.size, self.k), self.rows.size
        for i, row in enumerate(self.lists):
            row.write([int(self.rows.last[i]), *drafts[i].tolist()])
        accept = torch.arange(self.k) >= torch.tensor(kept)[:, None]
        dice = Dice(accept.float(), torch.zeros(size), torch.zeros(size, self.k))
        verifying(self.rows, Rule(self.k, forced=(0.5,) * self.k))(view, Drafted(drafts, None), dice)

    def advance(self, kept: Sequence[int]) -> None:
        for row, count_ in zip(self.lists, kept, strict=True):
            if row.active:
                row.length += count_ + 1
        assert self.rows.lengths.tolist() == [row.length for row in self.lists]

    def shown(self, kind: str, mask: torch.Tensor, row: int) -> list[int]:
        """The tokens of a row that a mask [slots] shows, in order of their coming."""
        keys, values = self.rows.cache.keys[LAYERS[kind]], self.rows.cache.values[LAYERS[kind]]
        assert keys is not None and values is not None
        assert torch.equal(keys, values)
        return sorted(int(key) for key in keys[row, 0, mask, 0])

    @property
    def active(self) -> list[tuple[int, Naive]]:
        return [(i, row) for i, row in enumerate(self.lists) if row.active]


@settings(max_examples=100, derandomize=True)
@given(histories())
def test_every_query_sees_its_own_past_and_nothing_else(history: History) -> None:
    played = Playing(history)
    for event in history.events:
        if isinstance(event, Fill):
            played.fill(event.lengths)
        elif isinstance(event, Leave):
            played.leave(event.place)
        else:
            view = played.look()
            if history.k:
                for kind in LAYERS:
                    for i, row in played.active:
                        shown = played.shown(kind, view.drafter_masks[kind][i, 0, 0], i)
                        assert shown == row.seen_by_drafter(kind, history.window)
            played.verify(view, event.kept)
            for kind in LAYERS:
                for i, row in played.active:
                    for query in range(history.k + 1):
                        shown = played.shown(kind, view.masks[kind][i, 0, query], i)
                        assert shown == row.seen_by_target(row.length + query, kind, history.window)
            played.advance(event.kept)


@settings(max_examples=100, derandomize=True)
@given(histories().filter(lambda history: history.k > 0))
def test_the_view_of_rejected_drafts_is_what_transformers_hands_over(history: History) -> None:
    played = Playing(history)
    passed: set[int] = set()
    """Rows whose last pass was a round; after a prefill nothing was rejected."""
    for event in history.events:
        if isinstance(event, Fill):
            played.fill(event.lengths)
            passed -= event.lengths.keys()
        elif isinstance(event, Leave):
            played.leave(event.place)
        else:
            view = played.look(sees_rejected=True)
            for kind in LAYERS:
                for i, row in played.active:
                    shown = played.shown(kind, view.drafter_masks[kind][i, 0, 0], i)
                    if i in passed:
                        assert shown == row.lent_by_transformers(kind, history.window, history.k)
                    else:
                        assert shown == row.seen_by_drafter(kind, history.window)
            played.verify(view, event.kept)
            played.advance(event.kept)
            passed |= {i for i, _ in played.active}


@settings(derandomize=True)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.integers(1, 12))
def test_a_prefill_is_causal_within_the_window_and_padding_sees_itself(lengths: list[int], window: int) -> None:
    width = max(lengths)
    masks = prefill_masks(torch.tensor(lengths), width, window)
    for i, length in enumerate(lengths):
        for q in range(length):
            assert masks[FULL][i, 0, q].nonzero().flatten().tolist() == [*range(q + 1)]
            assert masks[SLIDING][i, 0, q].nonzero().flatten().tolist() == [*range(max(0, q - window + 1), q + 1)]
        assert bool(masks[SLIDING].any(-1).all())


@settings(derandomize=True)
@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 80), st.lists(st.integers(0, 79), min_size=1, max_size=3))
def test_a_slot_holds_the_last_position_that_fell_into_it(
    window: int, widest: int, capacity: int, last: list[int]
) -> None:
    layout = Layout(heads=((1, 1), (1, 1)), kinds=(SLIDING, FULL), window=window)
    slots = Slots(layout, len(last), capacity, widest, torch.float32, torch.device("cpu"))
    last = [min(each, capacity - 1) for each in last]
    for kind, size in slots.sizes.items():
        held = slots.positions(kind, torch.tensor(last)).tolist()
        for row, end in enumerate(last):
            latest = {position % size: position for position in range(end + 1)}
            assert [position if position >= 0 else None for position in held[row]] == [
                latest.get(slot) for slot in range(size)
            ]


def test_a_sliding_layer_takes_a_window_and_a_pass_and_no_more() -> None:
    layout = Layout(heads=((1, 1),), kinds=(SLIDING,), window=1024)
    assert ring(layout, capacity=32_768, widest=9) == 1040
    assert ring(layout, capacity=256, widest=9) == 256
