"""All engines of the suite, in the order and under the names of the table in docs/method.md."""

from collections.abc import Callable
from dataclasses import dataclass

from support.broken import greedy, sampled, telling
from support.broken.session import Engine, Remembering

from backends.base import Session

Make = Callable[[Remembering, int], Session]


@dataclass(frozen=True)
class Entry:
    """One engine."""

    name: str
    make: Make
    """(the real session, seed) -> the engine."""
    healthy: bool = False
    temperature: float = 0.0
    ends: bool = False
    """It needs texts that end before the length limit."""


GREEDY = (
    Entry("healthy", Engine, healthy=True),
    Entry("healthy, texts that end", Engine, healthy=True, ends=True),
    Entry("one draft in 8 accepted unverified", greedy.UnverifiedDraft),
    Entry("wrong bonus token", greedy.WrongBonus),
    Entry("verified one position off", greedy.OffByOne),
    Entry("stale KV after a rejection", greedy.StaleCache),
    Entry("one prompt's state leaks into the next", greedy.LeakedState),
    Entry("forced acceptance", greedy.ForcedAcceptance),
    Entry("drafter loaded but idle", telling.Idle),
    Entry("draft length ignored", telling.OtherLength),
    Entry("prefill told as a round", telling.PrefillAsRound),
    Entry("prefill token in the totals", telling.PrefillInTotals),
    Entry("secretly speculative baseline", telling.SecretlySpeculative),
    Entry("tokens lost at EOS", telling.LostAtTheEnd, ends=True),
    Entry("duplicated stream chunk", telling.DuplicatedChunk),
)
SAMPLED = (
    Entry("healthy, drafts drawn and judged by q", sampled.DrawnFromDrafter, healthy=True, temperature=1.0),
    Entry("healthy, argmax drafts judged as certain", sampled.JudgedAsCertain, healthy=True, temperature=1.0),
    Entry("drafts drawn, verified as argmax", sampled.JudgedByArgmax, temperature=1.0),
    Entry("Transformers' own assisted sampling", Engine, temperature=1.0),
)
EVERY = GREEDY + SAMPLED
EOS = (263,)
"""Where texts shall end: a token that nearly every greedy output of the demo pair holds early on."""
