"""How a step is executed: as it is written, compiled, or as a CUDA graph. Which one it was is stored with every trial.

Compiled: TorchInductor makes one graph of a step, for one set of buffers, one width and one batch. Its guards are
left out (they cost half as much as the step itself on a CPU), which is sound because a compiled step is never called
with anything but the tensors it was made for. Two steps must not share a code object then: the compiler files its
results under that.

Graphs: the step's kernels are recorded once and replayed, over static inputs and outputs.
"""

import types
from collections.abc import Callable
from typing import Any, Literal, TypeVar, cast

import torch
from torch._dynamo.utils import counters

from backends.hf.loading import Model
from backends.reference.experts import routers
from results.errors import UsageError

Path = Literal["eager", "compiled", "graphs", "compiled+graphs"]
F = TypeVar("F", bound=Callable[..., Any])
CUDA: Any = torch.cuda
"""Untyped."""

WARM_UPS = 3
"""Calls on a side stream before a capture, as PyTorch asks for."""
FAST = (9, 10)
"""Major compute capabilities for which PyTorch has a grouped product that never asks the host; it is in bfloat16."""


def check(path: Path, target: Model, device: torch.device) -> None:
    """Raises UsageError, in one line, where this target's steps cannot become CUDA graphs there."""
    if not path.endswith("graphs"):
        return
    if device.type != "cuda":
        raise UsageError(f"reference.path={path} needs a CUDA device, and this is {device}: choose eager or compiled")
    if routers(target):
        experts = str(target.config.get_text_config()._experts_implementation)
        refuse_experts(path, experts, target.dtype, CUDA.get_device_capability(device))


def refuse_experts(path: Path, experts: str, dtype: torch.dtype, capability: tuple[int, int]) -> None:
    """Raises UsageError for a mixture that asks the host which experts were chosen, which no CUDA graph can do.

    experts: Transformers' `experts_implementation`.
    """
    if experts == "eager" or (experts == "grouped_mm" and (dtype != torch.bfloat16 or capability[0] not in FAST)):
        raise UsageError(
            f"reference.path={path} is not for a mixture of experts here: {experts} in "
            f"{str(dtype).removeprefix('torch.')} at compute capability {'.'.join(map(str, capability))} waits for the "
            f"host in every layer; graphs need grouped_mm in bfloat16 at {' or '.join(f'{m}.x' for m in FAST)}. "
            "Choose eager or compiled"
        )


def executed(step: F, name: str, path: Path, device: torch.device) -> F:
    """The step, executed that way. name: tells it apart from every other step of this process."""
    return compiled(step, name, device) if path.startswith("compiled") else step


def compiled(step: F, name: str, device: torch.device) -> F:
    """One graph, or an error: nothing falls back to eager unseen. Raises RuntimeError at the first call that did."""
    assert isinstance(step, types.FunctionType)
    own = types.FunctionType(
        step.__code__.replace(co_name=name), step.__globals__, name, step.__defaults__, step.__closure__
    )
    options: dict[str, Any] = {"guard_filter_fn": torch.compiler.skip_all_guards_unsafe}
    options["cpp_wrapper"] = device.type == "cpu"  # a third less time there, where calls are short and many
    made: Any = torch.compile(own, dynamic=False, fullgraph=True, options=options)
    proven = False

    def call(*given: Any) -> Any:
        nonlocal proven
        if proven:
            return made(*given)
        graphs = counters["stats"]["unique_graphs"]
        result = made(*given)
        if counters["stats"]["unique_graphs"] == graphs:  # e.g. under TORCHDYNAMO_DISABLE=1
            raise RuntimeError(f"{name} was to be compiled, and PyTorch ran it as it is written")
        proven = True
        return result

    return cast(F, call)


class Captured:
    """A step as a CUDA graph: it reads the tensors it was captured with, whatever it is given, and the result is always
    the same tensors with new contents."""

    def __init__(self, step: Callable[[], Any]) -> None:
        """Raises what the step raises; it is called a few times, and leaves its buffers changed."""
        side = CUDA.Stream()
        side.wait_stream(CUDA.current_stream())
        with CUDA.stream(side):
            for _ in range(WARM_UPS):
                step()
        CUDA.current_stream().wait_stream(side)
        self._graph = CUDA.CUDAGraph()
        with CUDA.graph(self._graph):
            self._result = step()

    def __call__(self, *_: object) -> Any:
        self._graph.replay()
        return self._result
