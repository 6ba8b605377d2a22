"""The shapes of the published pairs: as large as published, and the same made small."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
import transformers as hf

from backends.fit import problems
from backends.hf.random_weights import config_of
from results.errors import UsageError
from workloads.pairs import PAIRS, fitting, resolve
from workloads.shapes import PUBLISHED, configs

ASSISTANTS: Mapping[str, float | None] = {
    "gemma-4-31B": None,
    "gemma-4-26B-A4B": None,
    "gemma-4-E2B": None,
    "gemma-4-E4B": 78.518e6,
    "gemma-4-12B": 423e6,
}
"""Parameters that somebody stated for an assistant (docs/workloads.md)."""
FAMILY = {True: ("Gemma4UnifiedForCausalLM", "Gemma4UnifiedAssistantForCausalLM"),
          False: ("Gemma4ForCausalLM", "Gemma4AssistantForCausalLM")}  # fmt: skip


def built(shape: Mapping[str, Any]) -> Any:
    """The genuine class, without storage."""
    with torch.device("meta"):
        return hf.AutoModelForCausalLM.from_config(config_of(shape))


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def towers(target: Mapping[str, Any]) -> int:
    """Parameters of an edge model's vision and audio towers: Transformers' default configs are those of E2B."""
    config = hf.Gemma4Config(text_config=dict(target), vision_config={}, audio_config={})
    with torch.device("meta"):
        model = hf.Gemma4ForConditionalGeneration(config).model
    return sum(parameters(part) for name, part in model.named_children() if name != "language_model")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_genuine_classes_have_as_many_parameters_as_published(name: str) -> None:
    target, assistant = configs(name)
    models = built(target), built(assistant)
    assert tuple(type(model).__name__ for model in models) == FAMILY[PAIRS[name].kind == "unified"]
    counted = parameters(models[0]) + (towers(target) if PAIRS[name].kind == "edge" else 0)
    assert counted == pytest.approx(PUBLISHED[name], rel=0.02)
    stated = ASSISTANTS[name]
    if stated is not None:
        assert parameters(models[1]) == pytest.approx(stated, rel=0.002)


def test_every_published_pair_has_shapes_and_its_window_is_the_registry_s() -> None:
    assert list(PUBLISHED) == [name for name, entry in PAIRS.items() if not entry.embedded]
    for name in PUBLISHED:
        target, assistant = configs(name)
        assert target["sliding_window"] == assistant["text_config"]["sliding_window"] == PAIRS[name].sliding_window


@pytest.mark.parametrize("tiny", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_an_assistant_reads_what_its_target_keeps(name: str, tiny: bool) -> None:
    target, assistant = configs(name, tiny=tiny)
    assert problems("mtp", target, assistant) == []
    text = assistant["text_config"]
    for heads in ("num_key_value_heads", "num_global_key_value_heads", "attention_k_eq_v", "head_dim"):
        assert text.get(heads) == target.get(heads)
    assert set(text["layer_types"]) == set(target["layer_types"])
    assert target["layer_types"][-1] == text["layer_types"][-1] == "full_attention"


@pytest.mark.parametrize("name", PUBLISHED)
def test_small_shapes_keep_every_part_of_the_real_ones(name: str) -> None:
    parts = ("hidden_size_per_layer_input", "num_kv_shared_layers", "use_double_wide_mlp", "enable_moe_block",
             "num_experts", "attention_k_eq_v", "final_logit_softcapping", "num_global_key_value_heads")  # fmt: skip
    real, small = configs(name), configs(name, tiny=True)
    assert [bool(real[0].get(part)) for part in parts] == [bool(small[0].get(part)) for part in parts]
    assert real[0].keys() == small[0].keys()
    assert real[1].keys() == small[1].keys()
    assert parameters(built(small[0])) < 2e6


@pytest.mark.parametrize("text", ["random:E2B", "random:gemma-4-e2b"])
def test_random_before_a_name_is_that_pair_without_its_weights(text: str) -> None:
    pair = resolve(text)
    assert (pair.name, pair.random_weights) == ("random:gemma-4-E2B", True)
    assert pair.shapes is not None
    assert (pair.shapes.target, pair.shapes.assistant) == configs("gemma-4-E2B")
    assert resolve("random:tiny-E2B").name == "random:tiny-gemma-4-E2B"
    assert fitting(text, ("hf", "shapes")) == (pair, None)


def test_a_runtime_that_makes_no_weights_puts_such_a_pair_aside() -> None:
    _, why = fitting("random:31B", ("hf",))
    assert why == "it makes no random weights, and random:gemma-4-31B has no others"
    _, why = fitting("demo", ("gguf", "shapes"))
    assert why is None
    _, why = fitting("E2B", ("gguf", "shapes"))
    assert why is not None and why.startswith("it loads gguf: name the files")


@pytest.mark.parametrize("text", ["random:3B", "random:", "random:demo", "random:tiny-"])
def test_a_name_without_shapes_is_refused_with_those_that_have_some(text: str) -> None:
    with pytest.raises(UsageError, match=r"no shapes to make random weights of: random:.*random:31B, random:26B-A4B"):
        resolve(text)
