"""A prompt as an engine that takes token ids is given it, and what is refused before the engine sees it."""

from collections.abc import Sequence

from backends.base import Session
from results.errors import UsageError
from results.records import Prompt, SessionFacts


def ids_of(session: Session, prompt: Prompt) -> tuple[int, ...]:
    """Its token ids; a prompt of text is encoded whole, without a chat template."""
    if prompt.token_ids is not None:
        return prompt.token_ids
    assert prompt.text is not None  # a Prompt has one of the two
    whole = session.encode(prompt.text, chat=False, thinking=False)
    return whole.head + whole.content + whole.tail


def refuse_unknown_tokens(facts: SessionFacts, rows: Sequence[Sequence[int]]) -> None:
    """Raises UsageError for a token id outside the target's vocabulary. rows: of a batch, none empty."""
    vocab, largest = facts.vocab_size, max(map(max, rows))
    if vocab is not None and largest >= vocab:
        raise UsageError(f"token id {largest} lies outside the target's vocabulary of {vocab:,}")


def refuse_length(facts: SessionFacts, tokens: int, taker: str = "the target") -> None:
    """Raises UsageError where prompt and output together are more tokens than the context holds."""
    limit = facts.context_limit
    if limit is not None and tokens > limit:
        raise UsageError(f"prompt and output are {tokens:,} tokens, {taker} takes {limit:,}; ask for fewer")
