"""A runtime whose times, texts and misfortunes are written in its options, so that the harness can be tried whole.

Options: `sleep_s` (real time of a call), `noise` (relative, of TPOT), `context`, `open` (a misfortune at launch),
`gone` (a file whose existence makes a launch find wrong input) and `script`: a list of
{"draft": k or 0, "capture": …, "nth": n, "do": misfortune, "once": file that must not exist yet}.
"""

import ctypes
import hashlib
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from backends.base import GREEDY, Availability, Backend, Capabilities, EngineLost, Session
from results.errors import UsageError
from results.records import (
    Arrival,
    Encoded,
    EngineConfig,
    Generation,
    Pair,
    PlainStep,
    Prompt,
    Request,
    Round,
    Sampling,
    SessionFacts,
    TokenScore,
)

PLAIN_TPOT_NS = 1_000_000


def suffer(what: str) -> None:
    """Misfortunes."""
    match what:
        case "crash":
            print("about to crash", flush=True)
            os.abort()
        case "kill":
            os.kill(os.getpid(), 9)
        case "exit":
            os._exit(3)
        case "hang":
            subprocess.Popen(["sleep", "600"])  # a server that must not outlive its worker
            ctypes.CDLL(None).sleep(600)
        case "error":
            raise ValueError("no such shape")
        case "memory":
            raise MemoryError("4 GiB wanted")
        case "lost":
            raise EngineLost("scripted-server ended by SIGSEGV: its last line: nothing\nnothing")
        case "usage":
            raise UsageError("the drafter does not fit: hidden size 8, not 16")
        case _:
            raise AssertionError(what)


class Scripted(Session):
    def __init__(self, engine: EngineConfig) -> None:
        self.options: dict[str, Any] = dict(engine.options)
        self.calls: Counter[tuple[int, str]] = Counter()
        self.facts = SessionFacts(
            versions={"scripted": "1"},
            device="cpu",
            dtype="float32",
            eos_token_ids=(255,),
            context_limit=self.options.get("context", 100_000),
            vocab_size=256,
            threads=engine.threads,
            files={"target/config.json": str(self.options.get("files", "a"))},
        )

    def encode(self, text: str, *, chat: bool, thinking: bool) -> Encoded:
        if self.options.get("encode"):
            suffer(self.options["encode"])
        return Encoded((2,), tuple(text.encode()), ())

    def generate(self, prompts: Sequence[Prompt], request: Request) -> list[Generation]:
        k = request.draft.length if request.draft else 0
        self.calls[k, request.capture] += 1
        for rule in self.options.get("script", ()):
            once = Path(rule["once"]) if "once" in rule else None
            nth = self.calls[k, request.capture]
            if (rule["draft"], rule.get("capture", "timing")) != (k, request.capture) or rule.get("nth", nth) != nth:
                continue
            if once is None or not once.exists():
                if once:
                    once.touch()
                suffer(rule["do"])
        time.sleep(self.options.get("sleep_s", 0))
        outputs = [self.tokens(prompt, request.of(place), len(prompts)) for place, prompt in enumerate(prompts)]
        return [self._generation(*row, request, k) for row in zip(prompts, outputs, strict=True)]

    def tokens(self, prompt: Prompt, request: Request, rows: int) -> tuple[int, ...]:
        """What a row of a batch of `rows` is answered with."""
        return tuple(i % 250 for i in range(request.max_new_tokens))

    def _generation(self, prompt: Prompt, output: tuple[int, ...], request: Request, k: int) -> Generation:
        n = len(output)
        seed = f"{prompt.key}/{k}/{self.calls[k, request.capture]}/{request.sampling.seed}"
        draw = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**31 - 1
        round_ns = round(PLAIN_TPOT_NS * (1 + 0.1 * k) * (1 + self.options.get("noise", 0.01) * draw))
        arrivals, rounds, at, tokens = [Arrival(PLAIN_TPOT_NS, 1)], [], PLAIN_TPOT_NS, 1
        while tokens < n:
            emitted = min(1 + (k + 1) // 2 if k else 1, n - tokens)
            at, tokens = at + round_ns, tokens + emitted
            arrivals.append(Arrival(at, tokens))
            rounds.append(Round(k, emitted - 1, emitted, draft_ns=100, verify_ns=200, total_ns=round_ns))
        instrumented = request.capture == "rounds"
        return Generation(
            n_tokens=n,
            token_ids=output,
            text=None,
            arrivals=tuple(arrivals),
            prompt_tokens=len(prompt.token_ids or ()),
            rounds=tuple(rounds) if instrumented and k else None,
            steps=tuple(PlainStep(900, 1000) for _ in rounds) if instrumented and not k else None,
            finish_reason="length",
            statement={"draft": k, "seed": request.sampling.seed, "in_flight": request.in_flight},
        )

    def score(self, prompt: Prompt, continuation: Sequence[int], sampling: Sampling = GREEDY) -> list[TokenScore]:
        raise NotImplementedError


class PerRequest(Backend):
    name = "scripted"
    title = "Scripted"
    capabilities = Capabilities(
        methods=("mtp", "prompt-lookup"),
        max_batch_plain=8,
        max_batch_speculative=2,
        draft_change="per-request",
        reveals="rounds",
        token_ids_in=True,
        token_ids_out=True,
        sampling=True,
        scores=False,
        captures=("timing", "rounds"),
    )

    def probe(self) -> Availability:
        return Availability(True, "1", "cpu")

    @contextmanager
    def open(self, pair: Pair, engine: EngineConfig) -> Iterator[Session]:
        if "open" in engine.options:
            suffer(str(engine.options["open"]))
        if "gone" in engine.options and Path(str(engine.options["gone"])).exists():
            raise UsageError("no such file: the pair")
        yield Scripted(engine)


class PerLaunch(PerRequest):
    name = "launched"
    title = "Launched"
    capabilities = Capabilities(
        methods=("mtp",),
        max_batch_plain=None,
        max_batch_speculative=None,
        draft_change="per-launch",
        reveals="counts",
        token_ids_in=False,
        token_ids_out=True,
        sampling=False,
        scores=False,
    )

    def open(self, pair: Pair, engine: EngineConfig) -> Any:
        wanted = engine.options.get("open_draft")
        if wanted is not None and engine.draft is not None and engine.draft.length == wanted:
            suffer("crash")
        return super().open(pair, engine)


class Looping(PerRequest):
    """A server: batches are requests in flight."""

    name = "scripted-loop"
    capabilities = replace(PerRequest.capabilities, max_batch_speculative=None, concurrency="closed-loop")


class Absent(PerRequest):
    name = "absent"

    def probe(self) -> Availability:
        return Availability(False, None, None, "absent is not installed", "pip install absent")


class Dying(PerRequest):
    name = "dying"

    def probe(self) -> Availability:
        os.abort()
