"""An acceptance profile: how many drafts would be accepted from every position of known greedy texts, and the rounds
of every draft length that follow from it.

A drafter without keys and values of its own drafts the same from a position whatever rounds led there. A round at
draft length k from a position with `a` acceptable drafts accepts min(a, k), emits one token more, and the next round
begins there: nothing has to be decoded again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from results.records import Json, Prompt, Round, SessionFacts
from results.records.common import check

SCHEMA = 1
LONGEST = 64
"""The largest k_max: tokens drafted from a position."""


@dataclass(frozen=True, slots=True)
class Text:
    """One prompt's greedy continuation, and what would be accepted within it."""

    prompt: Prompt
    continuation: tuple[int, ...]
    """Token ids; the first is the prefill's."""
    accepted: tuple[int, ...]
    """Entry i: how many of k_max drafts made after token i equal the tokens that follow it; those are known up to the
    end of the continuation. None for the last token."""

    def __post_init__(self) -> None:
        known = len(self.continuation) - 1
        check(known >= 0, f"{self.prompt.key}: an empty continuation has no profile")
        check(len(self.accepted) == known, f"{self.prompt.key}: {len(self.accepted)} counts for {known} positions")
        wrong = [i for i, count in enumerate(self.accepted) if not 0 <= count <= known - i]
        check(not wrong, f"{self.prompt.key}: the counts at {wrong[:3]} accept more than follows, or less than nothing")


@dataclass(frozen=True, slots=True)
class Profile:
    """A stored profile: everything that was seen, and with what."""

    schema: int
    mtpbench: str
    """Version."""
    created_unix_ns: int
    pair: str
    synthetic: bool
    """Random weights."""
    prompt_tokens: int | None
    """None: every prompt at its own length."""
    output_tokens: int
    """The limit; a text that ends by itself is shorter."""
    k_max: int
    facts: SessionFacts
    sweep: Mapping[str, Json]
    """What was asked for."""
    provenance: Mapping[str, Json]
    texts: tuple[Text, ...]

    def __post_init__(self) -> None:
        check(self.schema == SCHEMA, f"schema {self.schema} is not {SCHEMA}")
        check(1 <= self.k_max <= LONGEST, f"k_max must lie in 1..{LONGEST}, not {self.k_max}")
        check(bool(self.texts), "a profile needs at least one text")
        most = max((count for text in self.texts for count in text.accepted), default=0)
        check(most <= self.k_max, f"{most} of {self.k_max} drafts cannot be accepted")


def rounds(accepted: Sequence[int], k: int) -> tuple[Round, ...]:
    """The rounds that decoding this text with k drafts a round takes.

    accepted: as in `Text`. A last round whose drafts reach the end of the text emits no token of the target's own
    after them: it is cut, as a decoder cuts it at the end of text or at the length limit.
    """
    return tuple(Round(k, kept, emitted) for kept, emitted in _walk(accepted, k))


def _walk(accepted: Sequence[int], k: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(accepted):
        kept = min(accepted[at], k)
        emitted = min(kept + 1, len(accepted) - at)
        yield kept, emitted
        at += emitted
