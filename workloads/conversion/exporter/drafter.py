"""The MTP drafter as LiteRT-LM calls it: one TFLite signature, each call of which drafts one token.

The contract, found by running the engine (0.18.1) against variants of this file. S: context, D: head size, H: the
target's hidden size, V: vocabulary.

  activations        [1, 1, 2H]    cat(target's embedding of the last known token, hidden state): the target's state at
                                   the first call of a round, `projected_activations` of the call before afterwards
  input_pos          [1]           p, the position of the last token IN THE CACHE, the same for all calls of a round
  mask               [1, 1, 1, S]  0 for slots 0..p, a large negative number elsewhere
  kv_cache_k_i, _v_i               the TARGET's cache of its last sliding and its last full layer i: keys [1, 1, S, D],
                                   values transposed [1, 1, D, S]
  -> logits [1, 1, V], projected_activations [1, 1, H]

Each of these pitfalls makes a drafter that is silently worse. The parity step sees them: its logits are then off by
.1, .2 and 2 in this order.
- Transformers gives its drafter the position of the last KNOWN token, which is not yet in the cache: p + 1.
- The mask knows no sliding window: it is applied here. Transformers shows its drafter window + 1 slots (the target's
  own layers see `window`), and assistants are distilled under that.
- Transformers' attention with expanded K/V heads is lowered wrongly. With one K/V head and one query, the query heads
  are the rows of one matrix product: see `_attend`.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, Gemma4AssistantForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from workloads.conversion.exporter.layout import HIDDEN, Export
from workloads.conversion.exporter.repaired import litert_torch
from workloads.training.models import FULL, SLIDING, Assistant

SIGNATURE = "mtp_drafter"
ROWS = "litert_rows"


def write(plan: Export) -> None:
    """drafter.tflite in the plan's folder."""
    module = Drafter(plan).eval()
    litert_torch.signature(SIGNATURE, module, sample_kwargs=module.sample_inputs()).convert().export(str(plan.drafter))


class Drafter(nn.Module):
    """The assistant behind that signature."""

    def __init__(self, plan: Export) -> None:
        super().__init__()
        ALL_ATTENTION_FUNCTIONS.register(ROWS, _attend)
        assistant: Assistant = Gemma4AssistantForCausalLM.from_pretrained(
            plan.assistant, dtype=torch.float32, attn_implementation="eager"
        )
        text = assistant.config.get_text_config()
        for config in (assistant.config, text, assistant.model.config):
            config._attn_implementation = ROWS
        target = AutoConfig.from_pretrained(plan.target).get_text_config()
        self.assistant, self.text, self.context, self.window = assistant, text, plan.context, target.sliding_window
        self.layers = {kind: layer for kind, layer in last_layers(target).items() if kind in text.layer_types}

    def forward(self, activations: Tensor, input_pos: Tensor, mask: Tensor, **kv: Tensor) -> dict[str, Tensor]:
        slot = torch.arange(self.context, dtype=torch.int32).view(1, 1, 1, -1)
        near = slot >= input_pos.view(1, 1, 1, 1) - self.window
        sliding = torch.where(near, torch.zeros(()), torch.full((), HIDDEN)) + mask
        shared = {
            kind: (kv[f"kv_cache_k_{layer}"], kv[f"kv_cache_v_{layer}"].transpose(-1, -2))
            for kind, layer in self.layers.items()
        }
        state = self.assistant.model(
            inputs_embeds=self.assistant.pre_projection(activations),
            position_ids=input_pos.unsqueeze(0) + 1,
            attention_mask={FULL: mask, SLIDING: sliding},
            shared_kv_states=shared,
            use_cache=False,
        ).last_hidden_state
        return {"logits": self.assistant.lm_head(state), "projected_activations": self.assistant.post_projection(state)}

    def sample_inputs(self) -> dict[str, Tensor]:
        """Zeros of the signature's shapes."""
        inputs = {
            "activations": torch.zeros(1, 1, 2 * self.assistant.config.backbone_hidden_size),
            "input_pos": torch.zeros(1, dtype=torch.int32),
            "mask": torch.zeros(1, 1, 1, self.context),
        }
        for kind, layer in self.layers.items():
            full = getattr(self.text, "global_head_dim", None) if kind == FULL else None
            width = full or self.text.head_dim
            inputs[f"kv_cache_k_{layer}"] = torch.zeros(1, 1, self.context, width)
            inputs[f"kv_cache_v_{layer}"] = torch.zeros(1, 1, width, self.context)
        return inputs


def last_layers(target: Any) -> dict[str, int]:
    """The last layer of each kind among those of the target that own their K/V, by its text config."""
    own = target.layer_types[: target.num_hidden_layers - (target.num_kv_shared_layers or 0)]
    return {kind: max(layer for layer, other in enumerate(own) if other == kind) for kind in (SLIDING, FULL)}


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float = 1.0, **_: Any
) -> tuple[Tensor, None]:
    batch, heads, _one, width = query.shape
    scores = torch.matmul(query.reshape(batch, 1, heads, width), key.transpose(-1, -2)) * scaling + mask
    return torch.matmul(torch.softmax(scores, dim=-1), value).reshape(batch, 1, heads, width), None
