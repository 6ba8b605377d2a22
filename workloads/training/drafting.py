"""The drafter's forward pass for all positions of a sequence at once, with exactly the inputs of inference.

At inference one round drafts from one position t, the last one verified: the drafter sees the target's hidden
state there, the token t+1 already chosen, and the target's keys and values up to t. Here every t of a sequence is
a query of one pass, kept apart by masks, so that training costs a few passes instead of one per position.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from workloads.training.models import FULL, SLIDING, Assistant, Target


@dataclass(frozen=True, slots=True)
class Read:
    """What the target hands its drafter after reading `ids` [rows, length]."""

    ids: Tensor
    embedded: Tensor
    """[rows, length, hidden]: the target's own scaled embeddings of `ids`."""
    hidden: Tensor
    """[rows, length, hidden]: last hidden states, after the final norm."""
    kv: dict[str, tuple[Tensor, Tensor]]
    """Keys and values [rows, 1, length, head_dim] of the last layer of each type."""
    logits: Tensor
    """[rows, length, vocab]: the target's prediction of the following token."""


@torch.no_grad()
def read(target: Target, ids: Tensor) -> Read:
    """One pass of the target over `ids` [rows, length]."""
    seen = target(ids, use_cache=False, output_hidden_states=True, return_shared_kv_states=True)
    embedded = target.get_input_embeddings()(ids)
    return Read(ids, embedded, seen.hidden_states[-1], dict(seen.shared_kv_states), seen.logits)


def masks(queries: int, length: int, window: int) -> dict[str, Tensor]:
    """bool [1, 1, queries, length] per layer type: which positions s the query at position t sees.

    Full layers show s <= t. Sliding layers show the last `window` + 1 of these, one more than the target's own
    layers do: that is what `Gemma4AssistantForCausalLM.create_attention_masks` builds for a single query.
    """
    back = torch.arange(queries)[:, None] - torch.arange(length)[None]
    full = back >= 0
    return {FULL: full[None, None], SLIDING: (full & (back <= window))[None, None]}


def draft(assistant: Assistant, seen: Read, steps: int) -> Iterator[Tensor]:
    """Logits [rows, length - steps, vocab] of draft step 0, 1, … from every position t that has them all.

    Step j at t predicts token t+2+j (its label is the target's prediction at t+1+j), given that the tokens up to
    t+1+j are those of the text. All steps of a round share position t+1 and the keys and values up to t.
    """
    length = seen.ids.shape[1]
    queries = length - steps
    visible = masks(queries, length, assistant.model.config.sliding_window)
    positions = torch.arange(1, queries + 1)[None]
    hidden = seen.hidden[:, :queries]
    for step in range(steps):
        token = seen.embedded[:, 1 + step : 1 + step + queries]
        state = assistant.model(
            inputs_embeds=assistant.pre_projection(torch.cat([token, hidden], dim=-1)),
            attention_mask=visible,
            position_ids=positions,
            shared_kv_states=seen.kv,
            use_cache=False,
        ).last_hidden_state
        hidden = assistant.post_projection(state)
        yield assistant.lm_head(state)


def labels(seen: Read, step: int, steps: int) -> Tensor:
    """[rows, length - steps, vocab]: the target's logits that draft step `step` of every position is held against."""
    queries = seen.ids.shape[1] - steps
    return seen.logits[:, 1 + step : 1 + step + queries]


@torch.no_grad()
def accepted(assistant: Assistant, seen: Read, steps: int) -> Tensor:
    """bool [rows, length - steps, steps]: whether drafts 0..j of a round from position t are all the target's argmax.

    Teacher-forced: later drafts are conditioned on the text's tokens, which are the drafted ones where the text
    is the target's own greedy continuation; on other text the figure is an approximation.
    """
    hits = [
        logits.argmax(-1) == labels(seen, step, steps).argmax(-1)
        for step, logits in enumerate(draft(assistant, seen, steps))
    ]
    return torch.stack(hits, dim=-1).cumprod(dim=-1).bool()


def replay(accepted_row: Tensor, prompt: int, new_tokens: int, draft_tokens: int) -> list[tuple[int, int]]:
    """(drafted, accepted) of every round in which generation would produce one greedy row, from `accepted`'s row.

    accepted_row: bool [positions, steps] of prompt + continuation; prompt, new_tokens: their lengths in tokens.
    As in Transformers the prefill emits a token without drafts, a round drafts no more than still fits before its
    own closing token, and a last token that leaves no room for drafts is decoded without a round.
    """
    rounds = []
    known, end = prompt + 1, prompt + new_tokens  # tokens in hand; the position to draft from is known - 2
    while (room := min(draft_tokens, end - known - 1)) > 0:
        hits = int(accepted_row[known - 2, :room].sum())
        rounds.append((room, hits))
        known += hits + 1
    return rounds
