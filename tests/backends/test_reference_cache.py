"""Which keys a pass and a drafter see, after any history of prompts, rounds and rejections, against plain lists."""

from dataclasses import dataclass, field

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.reference.cache import FULL, SLIDING, Filling, Layout, Slots, prefill_masks, ring
from backends.reference.models import drafter_masks

CAPACITY, WIDEST = 64, 6
LAYERS = {FULL: 1, SLIDING: 0}


@dataclass
class Naive:
    """One row as a list: what was written at each position, and how many of them count."""

    written: list[float] = field(default_factory=list)
    length: int = 0

    def write(self, start: int, values: list[float]) -> None:
        self.written[start:] = values


@dataclass(frozen=True)
class History:
    window: int
    prompts: list[int]
    rounds: list[tuple[int, list[int]]]
    """(draft length, kept by each row)."""


@st.composite
def histories(draw: st.DrawFn) -> History:
    rows = draw(st.integers(1, 3))
    prompts = draw(st.lists(st.integers(1, 24), min_size=rows, max_size=rows))
    rounds = []
    for k in draw(st.lists(st.integers(0, WIDEST - 1), max_size=6)):
        rounds.append((k, draw(st.lists(st.integers(0, k), min_size=rows, max_size=rows))))
    return History(draw(st.integers(2, 20)), prompts, rounds)


def filled(history: History) -> tuple[Slots, list[Naive], torch.Tensor]:
    """Slots and lists after the prompts; a key is a number of its own, so that it is known again."""
    layout = Layout(heads=((1, 1), (1, 1)), kinds=(SLIDING, FULL), window=history.window)
    slots = Slots(layout, len(history.prompts), CAPACITY, WIDEST, torch.float32, torch.device("cpu"))
    lengths, width = torch.tensor(history.prompts), max(history.prompts)
    keys = 1000 + torch.arange(float(len(history.prompts) * width)).view(-1, 1, width, 1)
    filling = Filling(slots, torch.arange(len(lengths)), lengths)
    for layer in LAYERS.values():
        filling.update(keys, keys, layer)
    rows = [Naive(keys[i, 0, :n, 0].tolist(), n) for i, n in enumerate(history.prompts)]
    return slots, rows, lengths


def seen(slots: Slots, kind: str, mask: torch.Tensor, row: int) -> list[float]:
    """The keys of a row that a mask [slots] shows, in no order."""
    keys = slots.keys[LAYERS[kind]]
    assert keys is not None
    return sorted(keys[row, 0, mask, 0].tolist())


@settings(deadline=None, max_examples=60)
@given(histories())
def test_every_query_sees_its_own_past_and_nothing_else(history: History) -> None:
    slots, rows, lengths = filled(history)
    written = lengths - 1
    fresh = 0.0
    for k, kept in history.rounds:
        for kind in LAYERS:
            masks = drafter_masks(slots, lengths, written, history.window, drafted=k, sees_rejected=False)
            for i, row in enumerate(rows):
                first = max(0, row.length - history.window - 1) if kind == SLIDING else 0
                assert seen(slots, kind, masks[kind][i, 0, 0], i) == sorted(row.written[first : row.length])
        positions = lengths[:, None] + torch.arange(k + 1)
        keys = -1 - fresh - torch.arange(float(len(rows) * (k + 1))).view(-1, 1, k + 1, 1)
        fresh += keys.numel()
        slots.aim(slots.slots_of(positions))
        for layer in LAYERS.values():
            slots.update(keys, keys, layer)
        masks = slots.masks(positions)
        for i, row in enumerate(rows):
            row.write(row.length, keys[i, 0, :, 0].tolist())
            for q in range(k + 1):
                at = row.length + q
                for kind in LAYERS:
                    first = max(0, at - history.window + 1) if kind == SLIDING else 0
                    assert seen(slots, kind, masks[kind][i, 0, q], i) == sorted(row.written[first : at + 1])
            row.length += kept[i] + 1
        written = positions[:, -1]
        lengths = lengths + torch.tensor(kept) + 1


@settings(deadline=None, max_examples=60)
@given(histories().filter(lambda history: any(k for k, _ in history.rounds[:1])))
def test_the_view_of_rejected_drafts_is_what_transformers_hands_over(history: History) -> None:
    """By its own steps: the pass's returned keys, cut to the text's length, then the last window + 1."""
    slots, rows, lengths = filled(history)
    k, kept = history.rounds[0]
    positions = lengths[:, None] + torch.arange(k + 1)
    keys = -1 - torch.arange(float(len(rows) * (k + 1))).view(-1, 1, k + 1, 1)
    slots.aim(slots.slots_of(positions))
    for layer in LAYERS.values():
        slots.update(keys, keys, layer)
    lengths = lengths + torch.tensor(kept) + 1
    masks = drafter_masks(slots, lengths, positions[:, -1], history.window, drafted=k, sees_rejected=True)
    for i, row in enumerate(rows):
        row.write(row.length, keys[i, 0, :, 0].tolist())
        text = int(lengths[i]) + 1
        full = row.written[:text]
        returned = row.written[-(history.window - 1 + k + 1) :]
        sliding = returned[:text][-(history.window + 1) :]
        assert seen(slots, FULL, masks[FULL][i, 0, 0], i) == sorted(full)
        assert seen(slots, SLIDING, masks[SLIDING][i, 0, 0], i) == sorted(sliding)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=3), st.integers(1, 12))
def test_a_prefill_is_causal_within_the_window_and_padding_sees_itself(lengths: list[int], window: int) -> None:
    width = max(lengths)
    masks = prefill_masks(torch.tensor(lengths), width, window)
    for i, length in enumerate(lengths):
        for q in range(length):
            assert masks[FULL][i, 0, q].nonzero().flatten().tolist() == [*range(q + 1)]
            assert masks[SLIDING][i, 0, q].nonzero().flatten().tolist() == [*range(max(0, q - window + 1), q + 1)]
        assert bool(masks[SLIDING].any(-1).all())


def test_a_sliding_layer_takes_a_window_and_a_pass_and_no_more() -> None:
    layout = Layout(heads=((1, 1),), kinds=(SLIDING,), window=1024)
    assert ring(layout, capacity=32_768, widest=9) == 1040
    assert ring(layout, capacity=256, widest=9) == 256
