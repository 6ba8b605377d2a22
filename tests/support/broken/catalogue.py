"""All engines of the suite, in the order and under the names of the table in docs/method.md."""

from collections.abc import Callable
from dataclasses import dataclass

from support.broken import greedy, sampled, telling
from support.broken.session import Engine, Remembering

from backends.base import Session

Make = Callable[[Remembering, int], Session]


CHANCES = range(4)
"""Seeds of a fault that is left to chance."""


@dataclass(frozen=True)
class Entry:
    """One engine."""

    name: str
    make: Make
    """(the real session, seed) -> the engine."""
    caught_by: str | None
    """The check named for the fault: one of `results.validity.findings`, `unexplained` or `biased`. None: healthy."""
    temperature: float = 0.0
    ends: bool = False
    """It needs texts that end before the length limit."""
    seeds: range = range(1)
    """Of the fault: run n has that of the n-th seed, cyclically."""


GREEDY = (
    Entry("healthy", Engine, None),
    Entry("healthy, texts that end", Engine, None, ends=True),
    Entry("one draft in 8 accepted unverified", greedy.UnverifiedDraft, "unexplained", seeds=CHANCES),
    Entry("wrong bonus token", greedy.WrongBonus, "unexplained"),
    Entry("verified one position off", greedy.OffByOne, "unexplained"),
    Entry("stale KV after a rejection", greedy.StaleCache, "unexplained"),
    Entry("one prompt's state leaks into the next", greedy.LeakedState, "unexplained"),
    Entry("forced acceptance", greedy.ForcedAcceptance, "unexplained"),
    Entry("drafter loaded but idle", telling.Idle, "idle"),
    Entry("draft length ignored", telling.OtherLength, "wrong_length", seeds=range(7)),
    Entry("prefill told as a round", telling.PrefillAsRound, "broken_rounds"),
    Entry("prefill token in the totals", telling.PrefillInTotals, "prefill_counted"),
    Entry("secretly speculative baseline", telling.SecretlySpeculative, "fewer_passes"),
    Entry("tokens lost at EOS", telling.LostAtTheEnd, "unexplained", ends=True),
    Entry("duplicated stream chunk", telling.DuplicatedChunk, "broken_rounds", seeds=CHANCES),
)
SAMPLED = (
    Entry("healthy, drafts drawn and judged by q", sampled.DrawnFromDrafter, None, temperature=1.0),
    Entry("healthy, argmax drafts judged as certain", sampled.JudgedAsCertain, None, temperature=1.0),
    Entry("drafts drawn, verified as argmax", sampled.JudgedByArgmax, "biased", temperature=1.0),
    Entry("Transformers' own assisted sampling", Engine, "biased", temperature=1.0),
)
EVERY = GREEDY + SAMPLED
EOS = (263,)
"""Where texts shall end: a token that nearly every greedy output of the demo pair holds early on."""
