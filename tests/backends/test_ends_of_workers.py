"""Real runtimes whose call is ended from outside: cancelled at its time-out, or killed in the middle."""

import os
import signal
import threading
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import the_demo_pair
import the_gguf_pair
import the_litert_bundle
from conformance import SHORT
from hosted import hosting, needs
from served_llama import llama
from stubbed_ollama import stubbed
from support.processes import eventually, gone

from backends.protocol import Generate, Open
from harness.client import CallFailed, Worker
from results.records import Draft, EngineConfig, Json, Pair, Prompt, Request

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

HF = EngineConfig(dtype="float32", device="cpu", threads=1, max_context=512, methods=("mtp",))
MTP = Draft("mtp", 4)
RUNTIMES = {
    "transformers": (the_demo_pair.PAIR, HF),
    "mlx": (the_demo_pair.PAIR, HF),
    "vllm": (the_demo_pair.PAIR, HF),
    "llamacpp": (the_gguf_pair.PAIR, the_gguf_pair.ENGINE),
    "litert": (the_litert_bundle.PAIR, the_litert_bundle.ENGINE),
}
IN_PROCESS = ("transformers", "mlx", "litert")
CALL = Generate((Prompt("p", "w", "c", None, SHORT),), Request(400, MTP))
EARLY_S = 0.05
"""No runtime writes 400 tokens in so little time."""


def opened(worker: Worker, name: str) -> None:
    pair, engine = RUNTIMES[name]
    worker.ask(Open(pair, replace(engine, draft=MTP)), 400)


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in RUNTIMES])
def test_a_call_that_is_cancelled_ends_with_everything_that_was_started_for_it(name: str) -> None:
    with hosting(name) as worker:
        opened(worker, name)
        started = psutil.Process(worker.pid).children(recursive=True)
        assert bool(started) == (name not in IN_PROCESS)
        with pytest.raises(CallFailed) as caught:
            worker.ask(CALL, EARLY_S)
        assert caught.value.failure.kind == "timeout"
        eventually(lambda: all(gone(process.pid) for process in started), seconds=5)


@pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in IN_PROCESS])
def test_a_runtime_that_dies_in_the_middle_is_a_crash_and_the_next_one_works(name: str) -> None:
    with hosting(name) as worker:
        opened(worker, name)
        killing = threading.Timer(EARLY_S, os.kill, (worker.pid, signal.SIGKILL))
        killing.start()
        with pytest.raises(CallFailed) as caught:
            worker.ask(CALL, 60)
        killing.join()
        assert caught.value.failure.kind == "crash"
        assert "signal 9" in caught.value.failure.message
    with hosting(name) as worker:
        opened(worker, name)
        (seen,) = worker.ask(replace(CALL, request=Request(8, MTP)), 60).generations
        assert seen.n_tokens >= 8


@needs("llamacpp")
@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_a_server_by_url_outlives_a_call_that_is_cancelled(name: str, tmp_path: Path) -> None:
    served = Pair("demo", "demo", None)
    with ExitStack() as stack:
        if name == "ollama":
            url, *_ = stack.enter_context(stubbed(tmp_path))
            options: dict[str, Json] = {"url": url}
        else:
            options = {"url": "http://127.0.0.1:9", "plain_url": stack.enter_context(llama(None)).url}
        opening = Open(served, EngineConfig(threads=1, methods=("mtp",), options=options))
        with hosting(name) as worker:
            worker.ask(opening, 60)
            with pytest.raises(CallFailed, match="no answer to generate"):
                worker.ask(replace(CALL, request=Request(1000)), EARLY_S)
        with hosting(name) as worker:
            worker.ask(opening, 60)
            (seen,) = worker.ask(replace(CALL, request=Request(8)), 60).generations
            assert seen.n_tokens == 8
