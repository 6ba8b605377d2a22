"""A text-only Gemma 4 target as TFLite signatures of which one verifies drafts.

What is asked of the exporter:
- `assistant_model` set, to any string: adds the signature `verify`, draft tokens + 1 wide, and the output
  `activations`, the final hidden states from which the drafter starts.
- `externalize_embedder`: the runtime needs the embedding on its own, for the drafter's input cat(embedding, hidden).
- float32: an empty recipe.

What is repaired:
- The engine (0.18.1) refuses to draft for a model without per-layer embeddings, which every Gemma 4 but E2B and E4B
  lacks. So each signature gets an input `per_layer_embeddings` of one number per token, served by an embedder of
  zeros and ADDED to the embeddings: no value changes, and the converter cannot drop the input as unused.
- 0.10.0 declares the mask of `verify` boolean; the runtime fills in a float mask, as for `decode` and `prefill`.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workloads.conversion.exporter.layout import PREFILL, Export
from workloads.conversion.exporter.repaired import export, litert_torch, stock

READING = stock.LiteRTExportableModuleForDecoderOnlyLMPrefillExternalEmbedder
DECODING = stock.LiteRTExportableModuleForDecoderOnlyLMGenerateExternalEmbedder


class ZeroPerLayerEmbedder(nn.Module):
    """Token ids [1, T] -> zeros [1, T, 1, 1]."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, 1, _weight=torch.zeros(vocabulary, 1))

    def forward(self, token_ids: Tensor) -> dict[str, Tensor]:
        return {"embeddings": self.table(token_ids).unsqueeze(-1)}


def write(plan: Export) -> None:
    """model.tflite, the exporter's bundle and the embedder of zeros, in the plan's folder."""
    for module in (READING, DECODING):
        _add_per_layer_input(module)
    _use_float_mask(DECODING)
    export.export(
        str(plan.target),
        str(plan.folder),
        prefill_lengths=[PREFILL],
        cache_length=plan.context,
        externalize_embedder=True,
        single_token_embedder=False,
        export_vision_encoder=False,
        export_audio_encoder=False,
        quantization_recipe="",
        keep_temporary_files=True,
        assistant_model="yes",
        mtp_verifier_step=plan.draft_tokens + 1,
    )
    config = json.loads((plan.target / "config.json").read_bytes())
    _write_zeros(ZeroPerLayerEmbedder(config["vocab_size"]), plan.zeros)


def _write_zeros(embedder: ZeroPerLayerEmbedder, file: Path) -> None:
    ids = {length: {"token_ids": torch.ones(1, length, dtype=torch.int32)} for length in (1, PREFILL)}
    signatures = litert_torch.signature("decode_per_layer_embedder", embedder, sample_kwargs=ids[1])
    signatures = signatures.signature(f"prefill_per_layer_embedder_{PREFILL}", embedder, sample_kwargs=ids[PREFILL])
    signatures.convert().export(str(file))


def _add_per_layer_input(module: Any) -> None:
    forward, get_input = module.forward, module._get_input

    def with_input(
        self: Any,
        embeddings: Tensor,
        per_layer_embeddings: Tensor,
        input_pos: Tensor,
        kv_cache: Any,
        mask: Any,
        **rest: Any,
    ) -> Any:
        return forward(self, embeddings + per_layer_embeddings.squeeze(-1), input_pos, kv_cache, mask, **rest)

    def input_with_it(self: Any, batch: int, length: int, length_dim: Any, config: Any) -> Any:
        inputs, dynamic = get_input(self, batch, length, length_dim, config)
        return inputs | {"per_layer_embeddings": torch.zeros(batch, length, 1, 1)}, dynamic

    module.forward, module._get_input = with_input, input_with_it


def _use_float_mask(module: Any) -> None:
    get_sample_inputs = module.get_sample_inputs

    def with_float_mask(self: Any, config: Any) -> Any:
        graphs = get_sample_inputs(self, config)
        inputs = graphs["verify"][0]
        inputs["mask"] = inputs["mask"].to(torch.float32)
        return graphs

    module.get_sample_inputs = with_float_mask
