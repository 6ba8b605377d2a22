"""The one interface that every runtime is wrapped in.

A backend is one module of this package that defines a class `Adapter(Backend)`; its file name is its name.
Packages outside add theirs through the entry point group `mtpbench.backends`. Adapters run inside a worker
process (`backends.worker`), so that a runtime may pin what it likes, leak, or crash.

    Backend   probe()  capabilities  open(pair, engine) -> Session
    Session   facts    encode()      generate()         score()  profile()
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

from results.records import (
    Capture,
    Draft,
    Encoded,
    EngineConfig,
    Generation,
    Json,
    ModelFormat,
    Pair,
    Prompt,
    Request,
    Sampling,
    SessionFacts,
    TokenScore,
)

__all__ = [
    "GREEDY",
    "Availability",
    "Backend",
    "Capabilities",
    "Deployment",
    "Draft",
    "EngineLost",
    "Environment",
    "Reveals",
    "Session",
]

GREEDY = Sampling()


class EngineLost(RuntimeError):
    """The engine is gone, e.g. its server ended: this session can answer nothing any more, and a new one could."""


Reveals = Literal["rounds", "counts", "per-position", "nothing"]
DraftChange = Literal["per-request", "per-launch", "baked-in"]


@dataclass(frozen=True, slots=True)
class Availability:
    """Can this runtime be used here, and if not, what would make it usable."""

    usable: bool
    version: str | None
    """The runtime's version, None where it is not installed."""
    device: str | None
    """The best device it would compute on here."""
    reason: str = ""
    """Why it is not usable, or a caveat where it is."""
    advice: str = ""
    """The next command, e.g. an install line. Where it is usable: what must be named or started before it is."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a runtime can do and what it shows: the planner puts impossible cells aside with these."""

    methods: tuple[str, ...]
    """Draft methods, the runtime's main one first."""
    max_batch_plain: int | None
    """Largest batch of the plain arm; None is no limit of the runtime's own."""
    max_batch_speculative: int | None
    draft_change: DraftChange
    """What a change of arm or draft length costs: nothing, a launch, or another model file."""
    reveals: Reveals
    token_ids_in: bool
    token_ids_out: bool
    sampling: bool
    scores: bool
    """`Session.score` works."""
    scores_sampling: bool = True
    """... and gives probabilities under a temperature too."""
    encodes: bool = False
    """Where prompts travel as text: `Session.encode` shows their tokens all the same, so that text is cut to length."""
    captures: tuple[Capture, ...] = ("timing",)
    formats: tuple[ModelFormat, ...] = ("hf",)
    """Of the model files that it loads, the preferred one first."""
    concurrency: Literal["batch", "closed-loop"] = "batch"
    """What a batch size means: one call with N rows, or N requests kept in flight, each asked `Request.of` its place
    (servers: `backends.server.together`)."""
    notes: tuple[str, ...] = field(default=())
    """Caveats shown by `mtpbench backends`."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The virtual environment that a runtime wants for itself: what `mtpbench env create NAME` makes."""

    packages: tuple[str, ...]
    """Pinned requirements, installed together."""
    remove: tuple[str, ...] = ()
    """Packages that those bring along and that break the runtime, uninstalled afterwards."""
    mend: str | None = None
    """A module that the new environment's interpreter runs last (`python -m`): it repairs what the packages leave
    broken and prints what it did."""
    notes: tuple[str, ...] = ()
    """What to know beforehand: size, platforms."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A measured setting that somebody wants to run as it was measured."""

    pair: Pair
    engine: EngineConfig
    """As it was launched; `engine.draft` is the arm, also where it changes with every request."""
    batch_size: int
    max_new_tokens: int
    sampling: Sampling = GREEDY
    facts: SessionFacts | None = None
    """What the engine said of itself when it was measured: its versions and its device."""
    by_batch: tuple[tuple[int, int], ...] = ()
    """(batch size, draft length) of the same method, ascending, where drafts should change with the batch; a draft
    length of 0 is plain decoding. Empty: one length for all."""

    @property
    def on_cpu(self) -> bool:
        """It computed on the CPU."""
        return (self.facts.device if self.facts else self.engine.device).startswith("cpu")


class Session(ABC):
    """An engine that is up, with its models loaded. Closed by leaving the `with` block of `Backend.open`."""

    facts: SessionFacts

    @abstractmethod
    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        """`text` in the target's tokens, split into head, content and tail.

        chat: apply the model's chat template (ignored where `facts.chat_template` is False).
        thinking: ask the template for its thinking mode, where it has one.
        Raises NotImplementedError where the runtime shows no tokens: prompts then travel as text.
        """

    @abstractmethod
    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        """Decode one batch; one Generation per prompt, in their order.

        Clocks start when the request is handed to the engine (`time.perf_counter_ns`). Device work is
        synchronised before a time is taken. Raises ValueError for what the runtime cannot do.
        """

    @abstractmethod
    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        """Teacher-forced scores of `continuation` after `prompt` by the undrafted target, one per token.

        One pass over both, as one prefill. sampling: whose distribution probabilities are of; its seed is ignored.
        Raises NotImplementedError where the runtime shows no scores.
        """

    def profile(self, prompt: Prompt, continuation: Sequence[int], k_max: int) -> list[int]:
        """The acceptance profile of a greedy continuation: for each of its tokens but the last, how many of k_max
        drafts made after it would be accepted, as far as the tokens that follow are known.

        Raises NotImplementedError where the runtime cannot draft from a given text, and ValueError for what it cannot
        do.
        """
        raise NotImplementedError(f"{type(self).__name__} gives no acceptance profile")


class Backend(ABC):
    """One runtime."""

    name: str
    title: str
    """As its makers write it."""
    capabilities: Capabilities
    measures_only: str = ""
    """Why nobody deploys with it, in a sentence; empty where people do."""
    environment: Environment | None = None
    """What `mtpbench env create` installs for it; None: it runs where mtpbench itself is installed."""

    @abstractmethod
    def probe(self) -> Availability:
        """Installed? Which version? Usable here? Never raises, loads no model, takes at most seconds."""

    def secrets(self, options: Mapping[str, Json]) -> tuple[str, ...]:
        """Environment variables, such as an API key's, that this backend's worker may see beyond what all may."""
        return ()

    def draft_lengths(self, pair: Pair, options: Mapping[str, Json]) -> tuple[int, ...] | None:
        """The only draft lengths that there are, e.g. one fixed in the pair's file, or that of a running server; None:
        any. options: the backend's own, of the sweep.

        Asked by the harness before anything is launched, in its own process: standard library only, and files that
        cannot be read give None, because `open` will say what is wrong with them.
        """
        return None

    def refused_lengths(self, lengths: Sequence[int], options: Mapping[str, Json]) -> Mapping[int, str]:
        """{draft length: why these options leave nothing of it to measure}; asked, and bound, as `draft_lengths` is.

        Raises results.errors.UsageError for an option that is wrong at any draft length.
        """
        return {}

    def deployment(self, wanted: Deployment) -> str | None:
        """How to run this setting without mtpbench: a command, a file or a program, with its own remarks; None where
        there is nothing to say. Nothing is launched, and the runtime need not be installed.

        Built from what `open` builds its launch from. What only measuring needs is left out, and said to be. Every
        name is quoted (`backends.quoting`): it may come from a stranger's run file. Raises UsageError for what `open`
        refuses.
        """
        return None

    @abstractmethod
    def open(self, pair: Pair, engine: EngineConfig) -> AbstractContextManager[Session]:
        """Load the models, or start or attach the server; everything is released on leaving the block.

        Raises results.errors.UsageError where the input is wrong (no such model, a drafter that does not fit).
        """
