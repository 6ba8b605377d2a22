"""What the engine asks of a device that no test has: rounds without a word from the host, on tensors without storage,
and what is refused or chosen for a device by its description alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from the_demo_pair import ENGINE, PAIR
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from backends.hf import loading, random_weights
from backends.reference import Adapter, paths
from backends.reference.engine import Running
from backends.reference.models import Drafter, Target
from backends.reference.rows import Rows
from backends.reference.steps import Rule
from results.errors import UsageError
from results.records import Sampling
from workloads import shapes

META = torch.device("meta")
SAMPLED = Sampling(1.0, 64, 0.95)
RULES = {
    "greedy": Rule(3),
    "forced": Rule(3, forced=(0.5, 0.4, 0.3)),
    "sampled": Rule(3, SAMPLED),
    "sampled-drafts": Rule(3, SAMPLED, samples_drafts=True),
    "full-softmax": Rule(3, SAMPLED, samples_drafts=True, full_softmax=True),
    "ablations": Rule(3, no_activations=True, own_prefill=True, sees_rejected=True),
}
MAKE = (torch.tensor, torch.as_tensor, torch.asarray, torch.from_numpy)
INDEX = (torch.Tensor.__getitem__, torch.Tensor.__setitem__)


class MadeOfNumbers(TorchFunctionMode):
    """Notes every tensor that is made of the host's numbers."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self._seen = seen

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        index = args[1] if function in INDEX else ()
        if function in MAKE or any(
            isinstance(part, list) for part in (index, *(index if type(index) is tuple else ()))
        ):
            self._seen.append(function.__name__)
        return function(*args, **(kwargs or {}))


class BesideTheHost(TorchDispatchMode):
    """Notes every operation that meets a tensor of the host's."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self._seen = seen

    def __torch_dispatch__(
        self, op: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = op(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        if any(tensor.device != META for tensor in tensors):
            self._seen.append(str(op))
        return result


@contextmanager
def from_the_host() -> Iterator[list[str]]:
    """What the host has a part in. An operation whose result depends on values fails by itself, there being none."""
    seen: list[str] = []
    with MadeOfNumbers(seen), BesideTheHost(seen):
        yield seen


@pytest.fixture(scope="module", params=["E2B", "26B-A4B"])
def pair(request: pytest.FixtureRequest) -> tuple[Target, Drafter]:
    """A dense target, per-layer embeddings and centroids; and a mixture with the experts' default."""
    configs = [random_weights.config_of(shape) for shape in shapes.configs(f"gemma-4-{request.param}", tiny=True)]
    target, drafter = (random_weights.model_of(config, META, torch.bfloat16) for config in configs)
    if request.param == "26B-A4B":
        assert target.config.get_text_config()._experts_implementation == "grouped_mm"
    return Target(target), Drafter(drafter)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@torch.inference_mode()
def test_a_round_asks_nothing_of_the_host(pair: tuple[Target, Drafter], rule: Rule) -> None:
    """No copy from it and no result whose size or course depends on values: a CUDA graph can have neither."""
    target, drafter = pair
    running = Running(Rows(target, 3, 192, 9), drafter, rule, "eager", 1)
    running.fill([0, 1, 2], [tuple(range(5, 105)), tuple(range(5, 65)), tuple(range(7, 90))])
    with from_the_host() as seen:
        done = running.round(None, None)
    assert done.verified.outcome.shape == (3, rule.length + 2)
    assert seen == []


def test_what_meets_the_host_is_noticed() -> None:
    there = torch.zeros(2, device=META)
    for ask in (lambda: torch.tensor([1.0], device=META), lambda: there[[0, 1]], lambda: there.copy_(torch.ones(2))):
        with from_the_host() as seen:
            ask()
        assert seen
    for depend in (there.tolist, there.nonzero, lambda: there[there > 0]):
        with pytest.raises(RuntimeError):  # NotImplementedError is one
            depend()


@pytest.mark.parametrize(
    ("experts", "dtype", "capability", "allowed"),
    [
        ("grouped_mm", torch.bfloat16, (9, 0), True),
        ("grouped_mm", torch.bfloat16, (10, 3), True),
        ("grouped_mm", torch.bfloat16, (8, 9), False),
        ("grouped_mm", torch.bfloat16, (12, 0), False),
        ("grouped_mm", torch.float32, (9, 0), False),
        ("eager", torch.bfloat16, (9, 0), False),
        ("batched_mm", torch.float32, (8, 0), True),
    ],
)
def test_mixtures_that_wait_for_the_host_are_refused_as_graphs(
    experts: str, dtype: torch.dtype, capability: tuple[int, int], allowed: bool
) -> None:
    if allowed:
        paths.refuse_experts("graphs", experts, dtype, capability)
    else:
        with pytest.raises(UsageError, match=f"graphs.*{experts}.*capability {capability[0]}\\.{capability[1]}.*eager"):
            paths.refuse_experts("graphs", experts, dtype, capability)


def test_graphs_are_refused_for_a_mixture_by_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths.CUDA, "get_device_capability", lambda device: (8, 0))
    models = {}
    for name in ("31B", "26B-A4B"):
        config = random_weights.config_of(shapes.configs(f"gemma-4-{name}", tiny=True)[0])
        models[name] = random_weights.model_of(config, META, torch.bfloat16)
    cuda = torch.device("cuda:1")
    paths.check("compiled+graphs", models["31B"], cuda)
    paths.check("compiled", models["26B-A4B"], cuda)
    with pytest.raises(UsageError, match=r"compiled\+graphs is not for a mixture.*grouped_mm in bfloat16 at .* 8.0"):
        paths.check("compiled+graphs", models["26B-A4B"], cuda)


@pytest.mark.model
def test_graphs_are_refused_without_cuda() -> None:
    config = replace(ENGINE, methods=("mtp",), options={"path": "graphs"})
    with (
        pytest.raises(UsageError, match="path=graphs needs a CUDA device, and this is cpu"),
        Adapter().open(PAIR, config),
    ):
        raise AssertionError


@pytest.mark.parametrize(("device", "wrapped"), [("cpu", True), ("meta", False)])
def test_steps_are_compiled_for_the_device_they_run_on(
    monkeypatch: pytest.MonkeyPatch, device: str, wrapped: bool
) -> None:
    """Not for the one that the machine has besides."""
    asked: list[Any] = []
    monkeypatch.setattr(paths.CUDA, "is_available", lambda: True)
    monkeypatch.setattr(torch, "compile", lambda step, **given: asked.append(given["options"]["cpp_wrapper"]))
    paths.compiled(lambda: None, "step", torch.device(device))
    assert asked == [wrapped]


@pytest.mark.parametrize(("device", "current"), [("cuda:1", [torch.device("cuda:1")]), ("cpu", [])])
def test_the_device_of_a_pair_is_the_current_one_before_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch, device: str, current: list[torch.device]
) -> None:
    """Streams, graphs and events take the current one."""
    made: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_device", made.append)
    monkeypatch.setattr(loading, "_load", lambda *given: [*made])
    with loading.loaded(PAIR, replace(ENGINE, device=device)) as before:
        assert before == current
