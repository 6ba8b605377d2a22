"""The exported signatures against Transformers, number by number: a wrong export still runs.

- `verify`: seeded random token ids, more than the sliding window, in chunks of `prefill`, then one pass of `verify`,
  against one forward pass of Transformers over the same ids: logits and activations.
- drafter: one round of chained calls on the K/V and hidden state of that pass, against `Gemma4AssistantForCausalLM`
  called as Transformers' own candidate generator calls it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor

from workloads.conversion.exporter.difference import Array, Difference, difference
from workloads.conversion.exporter.drafter import SIGNATURE, last_layers
from workloads.conversion.exporter.layout import HIDDEN, Export
from workloads.training.models import Target, load_assistant, load_target

TOKENS = 192
"""Cached before the round that is compared; the demo pair's window is 128."""
FIRST_WORD = 270
"""Ids below it are special tokens and single bytes."""


class Signatures:
    """model.tflite with its cache, as the engine drives it."""

    def __init__(self, plan: Export, reference: Target) -> None:
        self.interpreter = Interpreter(model_path=str(plan.model), num_threads=1)
        self.embed, self.context = reference.get_input_embeddings(), plan.context
        names = self.interpreter.get_signature_list()
        self.prefill = next(name for name in names if name.startswith("prefill"))
        inputs = self.interpreter.get_signature_runner(self.prefill).get_input_details()
        self.chunk = int(inputs["embeddings"]["shape"][1])
        self.cache = {
            name: np.zeros(about["shape"], np.float32) for name, about in inputs.items() if name.startswith("kv_cache")
        }

    def run(self, signature: str, ids: Tensor, first: int) -> dict[str, Any]:
        """Read `ids`, which stand at position `first` and after it; their K/V is kept."""
        runner = self.interpreter.get_signature_runner(signature)
        seen: dict[str, Any] = runner(
            **self.cache,
            embeddings=self.embed(ids[None]).detach().numpy(),
            per_layer_embeddings=np.zeros(runner.get_input_details()["per_layer_embeddings"]["shape"], np.float32),
            mask=causal_mask(first, len(ids), self.context),
            input_pos=np.arange(first, first + len(ids), dtype=np.int32),
        )
        self.cache |= {name: value for name, value in seen.items() if name.startswith("kv_cache")}
        return seen


def causal_mask(first: int, length: int, context: int) -> Array:
    """The engine's mask [1, 1, length, context]: row i shows the slots 0..first+i."""
    mask = np.full((1, 1, length, context), HIDDEN, np.float32)
    for row in range(length):
        mask[..., row, : first + row + 1] = 0
    return mask


@torch.no_grad()
def compare(plan: Export) -> Iterator[Difference]:
    """Every output of both files."""
    reference = load_target(plan.target)
    target = Signatures(plan, reference)
    start = min(TOKENS, plan.context - plan.draft_tokens - 1) // target.chunk * target.chunk
    vocabulary, seed = reference.config.vocab_size, torch.Generator().manual_seed(0)
    ids = torch.randint(min(FIRST_WORD, vocabulary // 2), vocabulary, (start + plan.draft_tokens + 1,), generator=seed)
    for first in range(0, start, target.chunk):
        target.run(target.prefill, ids[first : first + target.chunk], first)
    cached = dict(target.cache)  # the drafter of this round sees the cache as it was before `verify`
    seen = target.run("verify", ids[start:], start)
    want = reference(ids[None], output_hidden_states=True)
    yield difference("target's logits", seen["logits"][0], want.logits[0, start:])
    yield difference("target's activations", seen["activations"][0], want.hidden_states[-1][0, start:])
    yield from _round(plan, reference, ids[: start + 1], cached)


def _round(plan: Export, reference: Target, ids: Tensor, cached: dict[str, Array]) -> Iterator[Difference]:
    """The round whose last known token is the last of `ids`; K/V and hidden state are of those before it."""
    start, assistant = len(ids) - 1, load_assistant(plan.assistant)
    hidden = reference(ids[None, :-1], output_hidden_states=True).hidden_states[-1][:, -1:]
    kv = {
        kind: (
            torch.from_numpy(cached[f"kv_cache_k_{layer}"][:, :, :start]),
            torch.from_numpy(cached[f"kv_cache_v_{layer}"][..., :start]).transpose(-1, -2),
        )
        for kind, layer in last_layers(reference.config).items()
    }
    runner = Interpreter(model_path=str(plan.drafter), num_threads=1).get_signature_runner(SIGNATURE)
    slots = {name: cached[name] for name in runner.get_input_details() if name.startswith("kv_cache")}
    token, projected = ids[-1], hidden.numpy()
    for step in range(1, plan.draft_tokens + 1):
        embedded = reference.get_input_embeddings()(token.view(1, 1))
        want = assistant(
            inputs_embeds=torch.cat([embedded, hidden], -1),
            position_ids=torch.tensor([[start]]),
            attention_mask=None,
            shared_kv_states=kv,
        )
        seen = runner(
            activations=np.concatenate([embedded.numpy(), projected], -1),
            input_pos=np.array([start - 1], np.int32),
            mask=causal_mask(start - 1, 1, plan.context),
            **slots,
        )
        yield difference(f"drafter's logits, call {step}", seen["logits"], want.logits)
        hidden, projected = want.last_hidden_state, seen["projected_activations"]
        token = want.logits[0, -1].argmax()
    yield difference("drafter's projected activations", projected, hidden)
