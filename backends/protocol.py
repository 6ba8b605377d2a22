"""What parent and worker say to each other: one JSON line per request, one per reply, strictly in turn.

    {"op": "generate", "prompts": […], "request": {…}}    ->    {"ok": {"generations": […], …}}
                                                          or    {"error": {"kind": …, "message": …, "detail": …}}

Every question is a dataclass that knows its answer's type: `reply(Generate(…), line)` is a `Generated`.
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

from backends import wire
from backends.base import Availability, Capabilities
from results.records import Encoded, EngineConfig, Generation, Pair, Prompt, Request, Sampling, SessionFacts, TokenScore

R = TypeVar("R")

ProblemKind = Literal["usage", "oom", "lost", "error"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request gave nothing."""

    kind: ProblemKind
    """usage: the input is wrong; oom: memory ran out; lost: the engine is gone; error: anything else."""
    message: str
    """One line."""
    detail: str
    """Traceback; empty for a usage error."""


class WorkerProblem(Exception):
    """A `Problem`, raised in the parent."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Ask(Generic[R]):
    """A request; R is what its reply holds."""

    op: ClassVar[str]
    answer: ClassVar[Any]
    """R as a value: what the reply is read as."""


@dataclass(frozen=True)
class Probed:
    availability: Availability
    capabilities: Capabilities


@dataclass(frozen=True)
class Probe(Ask[Probed]):
    """Is the runtime here, and what can it do?"""

    op = "probe"
    answer = Probed


@dataclass(frozen=True)
class Open(Ask[SessionFacts]):
    """Bring up an engine; a worker hosts one in its life."""

    pair: Pair
    engine: EngineConfig

    op = "open"
    answer = SessionFacts


@dataclass(frozen=True)
class Encode(Ask[tuple[Encoded, ...]]):
    texts: tuple[str, ...]
    chat: bool
    thinking: bool

    op = "encode"
    answer = tuple[Encoded, ...]


@dataclass(frozen=True)
class Generated:
    generations: tuple[Generation, ...]
    """One per prompt, in their order."""
    started_unix_ns: int
    wall_ns: int
    """The whole call inside the worker, from before `Session.generate` to after it."""
    cpu_ns: int
    """CPU time of all threads of the worker during it."""


@dataclass(frozen=True)
class Generate(Ask[Generated]):
    prompts: tuple[Prompt, ...]
    request: Request

    op = "generate"
    answer = Generated


@dataclass(frozen=True)
class Score(Ask[tuple[TokenScore, ...]]):
    prompt: Prompt
    continuation: tuple[int, ...]
    sampling: Sampling
    """The distribution that probabilities are asked of."""

    op = "score"
    answer = tuple[TokenScore, ...]


@dataclass(frozen=True)
class Profile(Ask[tuple[int, ...]]):
    prompt: Prompt
    continuation: tuple[int, ...]
    """The target's own greedy one."""
    k_max: int

    op = "profile"
    answer = tuple[int, ...]


@dataclass(frozen=True)
class Close(Ask[None]):
    """Release the engine; the worker ends after replying."""

    op = "close"
    answer = type(None)


ASKS: dict[str, type[Ask[Any]]] = {ask.op: ask for ask in (Probe, Open, Encode, Generate, Score, Profile, Close)}


def request_line(ask: Ask[Any]) -> bytes:
    fields = wire.to_json(ask)
    assert isinstance(fields, dict)
    return _line({"op": ask.op, **fields})


def read_request(line: bytes) -> Ask[Any]:
    """Raises WireError for anything but one of `ASKS` with exactly its fields."""
    data = _object(line)
    op = data.pop("op", None)
    if op not in ASKS:
        raise wire.WireError(f"unknown op {op!r}; known: {', '.join(ASKS)}")
    return wire.from_json(ASKS[op], data)


def reply_line(ask: Ask[R], value: R) -> bytes:
    return _line({"ok": wire.to_json(value, ask.answer)})


def problem_line(problem: Problem) -> bytes:
    return _line({"error": wire.to_json(problem)})


def read_reply(ask: Ask[R], line: bytes) -> R:
    """The answer to `ask`. Raises WorkerProblem where the worker reports one, WireError where it makes no sense."""
    data = _object(line)
    if data.keys() == {"error"}:
        raise WorkerProblem(wire.from_json(Problem, data["error"]))
    if data.keys() != {"ok"}:
        raise wire.WireError(f"a reply has either `ok` or `error`, not {sorted(data)}")
    answer: R = wire.from_json(ask.answer, data["ok"])
    return answer


def _line(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode() + b"\n"


def _object(line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise wire.WireError(f"not JSON ({error}): {line[:80]!r}") from error
    if not isinstance(data, dict):
        raise wire.WireError(f"expected an object, not {line[:80]!r}")
    return data
