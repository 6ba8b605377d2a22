"""A runtime that does what its prompt says, so that the worker can be tried without a model."""

import ctypes
import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from backends.base import GREEDY, Availability, Backend, Capabilities, Session
from results.errors import UsageError
from results.records import (
    Arrival,
    Encoded,
    EngineConfig,
    Generation,
    Pair,
    Prompt,
    Request,
    Sampling,
    SessionFacts,
    TokenScore,
)


class OutOfMemoryError(RuntimeError):
    """PyTorch's is known to the worker by this name."""


class Talker(Session):
    def __init__(self) -> None:
        self.facts = SessionFacts({"fake": "1"}, "cpu", "float32", (1,), 100, 256)

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        return Encoded((2,) if chat else (), tuple(text.encode()), (3,) if thinking else ())

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        return [self._obey(prompt.text or "", request) for prompt in prompts]

    def _obey(self, order: str, request: Request) -> Generation:
        match order.split(":", 1):
            case ["usage"]:
                raise UsageError("prompt is too long")
            case ["value"]:
                raise ValueError("first line\nsecond line")
            case ["memory"]:
                raise MemoryError
            case ["torch-memory"]:
                raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2 TiB")
            case ["cpu-memory"]:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")
            case ["print"]:
                print("chatter on stdout")
                print("chatter on stderr", file=sys.stderr)
                os.system("echo chatter of a child")
            case ["crash"]:
                os.abort()
            case ["server", where]:
                server = subprocess.Popen(["sleep", "600"])
                Path(where).write_text(f"{os.getpid()} {server.pid}")
                ctypes.CDLL(None).sleep(600)  # inside native code, as a runtime would be
            case ["burn"]:
                end = time.process_time_ns() + 50_000_000
                while time.process_time_ns() < end:
                    sum(range(1000))
        statement = {"order": order, "collecting": gc.isenabled(), "frozen": gc.get_freeze_count() > 0}
        return Generation(1, (7,), None, (Arrival(5, 1),), statement=statement)

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        return [TokenScore(i, token, token, 1.0, 1.0) for i, token in enumerate(continuation)]


class Adapter(Backend):
    name = "fake"
    title = "Fake"
    capabilities = Capabilities(("mtp",), None, None, "per-request", "nothing", True, True, False, True)

    def probe(self) -> Availability:
        return Availability(True, "1", "cpu")

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        if pair.target == "missing":
            raise UsageError("no such model: missing")
        yield Talker()
        if closed := engine.options.get("note_close"):
            Path(str(closed)).write_text("closed")
