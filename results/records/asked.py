"""What is asked of a runtime."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self

from results.records.common import Json, check

Capture = Literal["timing", "rounds"]
ModelFormat = Literal["hf", "gguf", "litertlm", "served", "shapes"]
"""hf: a folder of safetensors, or a hub id. served: a name that a running server knows. shapes: configs without
weights, which the runtime makes at random."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """What a pair of random weights is built from."""

    target: Mapping[str, Json]
    """The target's config, with the keys of a checkpoint's config.json."""
    assistant: Mapping[str, Json]
    tokenizer: str
    """Folder of the tokenizer that makes its prompts: the vocabulary holds that one's ids."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A target and what drafts for it, as the user named them."""

    name: str
    """The registry's name, or the two paths joined by a colon."""
    target: str
    """Hub id or local folder (or file, where the runtime loads files)."""
    assistant: str | None
    """Hub id, folder or file of the drafter; None where no method needs one."""
    random_weights: bool = False
    """Weights are random: every figure is labelled synthetic."""
    shapes: Shapes | None = None
    """Of weights that are still to be made; None where there are files, or a server, to load from."""

    def __post_init__(self) -> None:
        check(bool(self.name) and bool(self.target), "a pair needs a name and a target")


@dataclass(frozen=True, slots=True)
class Draft:
    """A speculative arm: how drafts are made, and how many a round."""

    method: str
    """`mtp`, `draft-model`, `prompt-lookup`, or another name the backend lists in its capabilities."""
    length: int
    """Draft length k: tokens proposed per round, at least 1."""

    def __post_init__(self) -> None:
        check(self.length >= 1, f"draft length must be at least 1, not {self.length}")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. Temperature 0 is greedy."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        check(self.temperature >= 0, f"temperature must be at least 0, not {self.temperature}")
        check(self.top_k is None or self.top_k >= 1, f"top_k must be at least 1, not {self.top_k}")
        check(self.top_p is None or 0 < self.top_p <= 1, f"top_p must be in (0, 1], not {self.top_p}")


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Everything that is fixed when an engine is launched."""

    dtype: str = "auto"
    """`float32`, `bfloat16`, `float16`, or `auto` (the checkpoint's own)."""
    device: str = "auto"
    """`cpu`, `cuda`, `cuda:1`, `mps`, or `auto` (the best one present)."""
    threads: int | None = None
    """CPU threads of the runtime; None leaves the runtime's own choice."""
    max_context: int | None = None
    """The longest prompt plus output that will be asked for, in tokens."""
    max_batch: int = 1
    """The largest batch, or number of requests in flight, that will be asked for."""
    methods: tuple[str, ...] = ()
    """Draft methods that will be asked for, so that a session knows what to load."""
    draft: Draft | None = None
    """The arm, for runtimes where it is fixed at launch; None elsewhere and for the plain engine."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """The runtime's own options, passed through and recorded."""
    trust_remote_code: bool = False
    """Only the command line can set this."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of `Session.generate`, the same for every prompt of the batch."""

    max_new_tokens: int
    draft: Draft | None = None
    """None is the plain arm."""
    sampling: Sampling = Sampling()
    ignore_eos: bool = False
    """Run past the natural end; what follows it is left out of every figure."""
    capture: Capture = "timing"
    """`timing`: one timestamping streamer and no hooks. `rounds`: instrumented, with step times."""
    in_flight: int | None = None
    """Closed loop: so many prompts are being decoded at any time, the next is sent when one ends. None: all at once."""
    staggered: int = 0
    """So many of the first prompts are asked for ever more tokens, the last of them for all (`tokens_of`)."""

    def __post_init__(self) -> None:
        check(self.max_new_tokens >= 1, f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        check(self.staggered >= 0, f"staggered must be at least 0, not {self.staggered}")

    def tokens_of(self, place: int) -> int:
        """New tokens of the prompt at `place` in its batch.

        Prompts that are sent together and have equally many tokens to come end together where nothing is drafted, and
        so do their successors: a closed loop that no server ever sees, in which nobody waits for another's prefill.
        """
        if place >= self.staggered:
            return self.max_new_tokens
        return math.ceil(self.max_new_tokens * (place + 1) / self.staggered)

    def of(self, place: int) -> Self:
        """What the prompt at `place` is asked for, by itself."""
        return replace(self, max_new_tokens=self.tokens_of(place), in_flight=None, staggered=0)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text in the target's tokens, split where its content may be cut to length."""

    head: tuple[int, ...]
    """What the tokenizer or chat template puts before the content (BOS, turn marks)."""
    content: tuple[int, ...]
    tail: tuple[int, ...]
    """What the chat template puts after it (end of turn, start of the answer)."""
