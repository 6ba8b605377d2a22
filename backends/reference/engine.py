"""A loaded pair, and batches running on it: buffers, steps, and how they are executed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256

import torch

from backends.hf.loading import Models
from backends.hf.watching import Clock, Mark
from backends.reference import own_parts, paths, steps, verdict
from backends.reference.models import Drafter, Target
from backends.reference.paths import Path
from backends.reference.rows import Also, Rows
from backends.reference.steps import Drafted, Rule, Verified, View
from backends.reference.verdict import Dice

WIDTH = 9
"""Tokens of the widest pass that rows are made for at first: draft lengths up to 8."""
GRAIN = 64
"""Capacities are multiples of this, so that few different ones are compiled."""


@dataclass(frozen=True, slots=True)
class Round:
    """What a round left on the device."""

    verified: Verified
    marks: tuple[Mark, Mark, Mark] | None
    """Begun, drafted, verified; of an instrumented pass."""


class Running:
    """Steps made for one set of rows and one rule."""

    def __init__(self, rows: Rows, drafter: Drafter | None, rule: Rule, path: Path, number: int) -> None:
        """number: tells these steps from all others of this process."""
        self.rows, self.rule, self.path = rows, rule, path
        device = rows.lengths.device
        k, size = rule.length, rows.size
        self._dice = Dice(
            torch.zeros(size, k, device=device), torch.zeros(size, device=device), torch.zeros(size, k, device=device)
        )
        self._none = Drafted(torch.zeros(size, 0, dtype=torch.long, device=device), None)
        self._rolls = not rule.greedy or rule.forced is not None
        name = f"k{k}_rows{size}_{number}"
        self._look = paths.executed(steps.looking(rows, drafter, rule), f"look_{name}", path, device)
        self._verify = paths.executed(steps.verifying(rows, rule), f"verify_{name}", path, device)
        self.own_bytes = 0
        """Memory of what the drafter has for itself and would share without an ablation."""
        self._draft: steps.Draft | None = None
        self._also: Also | None = None
        if k:
            assert drafter is not None  # sessions load one wherever a method needs it
            if rule.own_prefill:
                drafter = own_parts.with_cache(drafter, rows.cache.lent())
                self._also = partial(own_parts.prefill, drafter)
            self.own_bytes = own_parts.bytes_of(drafter, rows.cache.lent())
            self._draft = paths.executed(steps.drafting(rows, drafter, rule), f"draft_{name}", path, device)
        self._graphs: _Steps | None = None

    def generator(self, seed: int | None, prompts: Sequence[tuple[int, ...]] = ()) -> torch.Generator | None:
        """Where this batch's random numbers come from; None where it needs none.

        Greedy decoding with forced acceptance has no seed, and is to give the same every time: it rolls by its prompts.
        """
        if not self._rolls:
            return None
        generator = torch.Generator(self.rows.lengths.device)
        if seed is None and self.rule.greedy:
            generator.manual_seed(int.from_bytes(sha256(repr([*prompts]).encode()).digest()[:7], "big"))
        elif seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        return generator

    @torch.inference_mode()
    def fill(self, places: list[int], prompts: list[tuple[int, ...]]) -> torch.Tensor:
        """Logits [prompts, vocabulary] after the prompts; always eager, because its width is the prompts'."""
        return self.rows.fill(places, prompts, self._also)

    @torch.inference_mode()
    def first(self, logits: torch.Tensor, draws: torch.Generator | None) -> torch.Tensor:
        """The tokens that prefills emit: [prompts]."""
        if self.rule.greedy or draws is None:
            return logits.argmax(-1)
        uniform = torch.rand(len(logits), generator=draws, device=logits.device)
        return verdict.draw(verdict.probabilities(logits, self.rule.sampling), uniform)

    @torch.inference_mode()
    def round(self, clock: Clock | None, draws: torch.Generator | None) -> Round:
        """One round of all rows; nothing here waits for the device."""
        if draws is not None:
            for numbers in (self._dice.accept, self._dice.choose, self._dice.draft):
                numbers.uniform_(generator=draws)
        view = self.look()
        began = clock.mark() if clock else None
        drafted = self.draft(view)
        between = clock.mark() if clock else None
        verified = self.verify(view, drafted)
        return Round(verified, (began, between, clock.mark()) if clock else None)

    def prime(self, prompt: tuple[int, ...]) -> None:
        """Compile or capture the steps now, over this prompt: not between the first token of a text and the next."""
        self.fill([0], [prompt])
        self.round(None, self.generator(0))
        self.rows.leave(0)

    def look(self) -> View:
        """Where the rows are."""
        return self._steps()[0]()

    def draft(self, view: View) -> Drafted:
        """k tokens for every row; changes nothing."""
        draft = self._steps()[1]
        return self._none if draft is None else draft(view, self._dice)

    def verify(self, view: View, drafted: Drafted) -> Verified:
        """The pass and the rule; the rows move on."""
        return self._steps()[2](view, drafted, self._dice)

    def _steps(self) -> "_Steps":
        if not self.path.endswith("graphs"):
            return self._look, self._draft, self._verify
        self._graphs = self._graphs or self._captured()
        return self._graphs

    def _captured(self) -> "_Steps":
        """The steps as CUDA graphs. Capturing moves the rows on, so they are put back."""
        rows, dice, draft, verify = self.rows, self._dice, self._draft, self._verify
        state = (rows.last, rows.hidden, rows.written, rows.lengths)
        before = [tensor.clone() for tensor in state]
        look = paths.Captured(self._look)
        view = look()
        drafting = None if draft is None else paths.Captured(lambda: draft(view, dice))
        drafted = self._none if drafting is None else drafting()
        verifying = paths.Captured(lambda: verify(view, drafted, dice))
        for tensor, value in zip(state, before, strict=True):
            tensor.copy_(value)
        return look, drafting, verifying


_Steps = tuple[steps.Look, steps.Draft | None, steps.Verify]


class Engine:
    """The pair, with rows for the batch sizes that were asked for."""

    def __init__(self, models: Models, path: Path, max_context: int | None) -> None:
        self.target = Target(models.target)
        self.drafter = None if models.assistant is None else Drafter(models.assistant)
        self.path = path
        self._context = max_context
        self._rows: dict[tuple[int, int], Rows] = {}
        self._running: dict[tuple[int, Rule], Running] = {}
        self._made = 0

    def running(self, size: int, rule: Rule, longest: int) -> Running:
        """Steps for `size` rows of up to `longest` tokens, prompt and output; made once for each size and rule.

        Rows are as large for every draft length of the same `width_of`, so that no arm makes those of another anew.
        """
        widest = width_of(rule.length)
        wanted = capacity_of(max(longest, self._context or 0), widest, known=self._context is not None)
        rows = self._rows.get((size, widest))
        if rows is None or rows.capacity < wanted:
            self._running = {key: running for key, running in self._running.items() if running.rows is not rows}
            rows = self._rows[size, widest] = Rows(self.target, size, wanted, widest)
        if (size, rule) not in self._running:
            self._made += 1
            drafter = self._with_table if rule.own_embeddings else self.drafter
            self._running[size, rule] = Running(rows, drafter, rule, self.path, self._made)
        return self._running[size, rule]

    @cached_property
    def _with_table(self) -> Drafter:
        """The drafter with a table for itself: one copy for all rows and rules."""
        assert self.drafter is not None  # sessions load one wherever a method needs it
        return own_parts.with_table(self.drafter, self.target)


def width_of(k: int) -> int:
    """Tokens of the widest pass that rows for drafts of this length are made for: 9, 17, 33 …"""
    width = WIDTH
    while width < k + 1:
        width = 2 * width - 1
    return width


def capacity_of(longest: int, widest: int, *, known: bool) -> int:
    """Positions of a row. known: no text will be longer; else they double, lest every longer one makes all anew."""
    needed = -(-(longest + widest) // GRAIN)
    return GRAIN * (needed if known else 1 << (needed - 1).bit_length())
