"""Models of given shapes with random weights, made where they will compute and in the type they will compute in.

Nothing is loaded, written, or held a second time: modules are built without storage, then every tensor is allocated on
the device and filled there as Transformers initialises it, normal with the config's `initializer_range`, norms 1.
"""

from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from results.records import Json

Model = Any
"""A `PreTrainedModel`; Transformers leaves most of its methods untyped."""
AUTO: Any = AutoModelForCausalLM

SEED = 0
"""Equal shapes give equal weights, on one kind of device."""


def config_of(shape: Mapping[str, Json]) -> PretrainedConfig:
    """A config from the keys of a config.json. Raises ValueError for what Transformers refuses."""
    kind: Any = CONFIG_MAPPING[str(shape["model_type"])]
    config: PretrainedConfig = kind(**{name: value for name, value in shape.items() if name != "model_type"})
    return config


def model_of(config: PretrainedConfig, device: torch.device, dtype: torch.dtype | str, **how: Any) -> Model:
    """A model of that config, ready to compute. dtype: `auto` is the config's own. how: `attn_implementation`, …"""
    chosen = config.dtype if dtype == "auto" else dtype
    with torch.device("meta"):
        model: Model = AUTO.from_config(config, dtype=chosen, **how)
    _allocate(model, device)
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.no_grad():
        torch.manual_seed(SEED)
        _fill(model, model)
        for module in model.modules():
            if "token_ordering" in dict(module.named_buffers(recurse=False)):  # which cluster a token is of
                module.token_ordering.copy_(torch.randperm(len(module.token_ordering), device=device))
    return model.eval()


def _allocate(model: torch.nn.Module, device: torch.device) -> None:
    """Storage for every parameter and buffer; those that are tied stay one. (`Module.to_empty` unties them.)"""
    made: dict[int, torch.Tensor] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is None:
                    continue
                if id(tensor) not in made:
                    empty = torch.empty_like(tensor, device=device)
                    is_parameter = isinstance(tensor, torch.nn.Parameter)
                    made[id(tensor)] = torch.nn.Parameter(empty, requires_grad=False) if is_parameter else empty
                tensors[name] = made[id(tensor)]  # type: ignore[assignment]


def _fill(module: torch.nn.Module, owner: Model) -> None:
    """Each module by the rules of the model that it is a part of."""
    for child in module.children():
        _fill(child, child if isinstance(child, PreTrainedModel) else owner)
    owner._init_weights(module)
