"""A worker as its parent sees it."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import none_left

from backends.protocol import Close, Encode, Generate, Open, Probe
from harness.client import CallFailed, Worker
from harness.environment import worker_environment
from results.errors import UsageError
from results.records import Draft, EngineConfig, Pair, Prompt, Request

PAIR = Pair("pair", "target", "assistant")
PROMPT = Prompt("a/1", "w", "a", (2, 3), None)


@pytest.fixture
def worker(bench: Path) -> Iterator[Worker]:
    with Worker("scripted", bench / "log", worker_environment(os.environ, None)) as started:
        yield started


def opened(worker: Worker, **options: object) -> None:
    worker.ask(Open(PAIR, EngineConfig(options=options)), 30)  # type: ignore[arg-type]


def test_it_answers_and_closes_in_good_order(worker: Worker) -> None:
    assert worker.ask(Probe(), 30).availability.usable
    opened(worker)
    (encoded,) = worker.ask(Encode(("ab",), chat=False, thinking=False), 30)
    assert encoded.content == (97, 98)
    reply = worker.ask(Generate((PROMPT,), Request(4, Draft("mtp", 2))), 30)
    assert reply.generations[0].n_tokens == 4
    worker.close()
    assert not worker.alive
    assert "did not close" not in worker.log.read_text()


def test_a_large_request_and_a_large_reply_go_through(worker: Worker) -> None:
    opened(worker)
    texts = tuple("x" * 10_000 for _ in range(100))
    assert len(worker.ask(Encode(texts, chat=False, thinking=False), 60)) == 100


def test_wrong_input_is_a_usage_error_and_the_worker_lives(worker: Worker) -> None:
    with pytest.raises(UsageError, match="hidden size 8"):
        opened(worker, open="usage")
    opened(worker)


def test_a_failed_call_says_why_and_the_worker_lives(worker: Worker) -> None:
    opened(worker, script=[{"draft": 0, "nth": 1, "do": "error"}])
    with pytest.raises(CallFailed) as caught:
        worker.ask(Generate((PROMPT,), Request(4)), 30)
    assert caught.value.alive
    assert caught.value.failure.kind == "error"
    assert worker.ask(Generate((PROMPT,), Request(4)), 30).generations


def test_a_worker_that_exits_is_a_crash_with_its_exit_code(worker: Worker) -> None:
    opened(worker, script=[{"draft": 0, "do": "exit"}])
    with pytest.raises(CallFailed) as caught:
        worker.ask(Generate((PROMPT,), Request(4)), 30)
    assert not caught.value.alive
    assert caught.value.failure.message == "scripted: the worker ended with exit code 3 during generate"


def test_a_hang_ends_at_the_time_out_and_takes_its_children_along(worker: Worker, bench: Path) -> None:
    opened(worker, script=[{"draft": 0, "do": "hang"}])
    begun = time.monotonic()
    with pytest.raises(CallFailed) as caught:
        worker.ask(Generate((PROMPT,), Request(4)), 1.0)
    assert 1.0 <= time.monotonic() - begun < 10
    assert caught.value.failure.kind == "timeout"
    none_left(bench)


def test_a_worker_that_cannot_be_imported_is_a_crash_with_the_reason_in_its_log(bench: Path) -> None:
    environment = {**worker_environment(os.environ, None), "PYTHONHOME": "/nowhere"}
    with Worker("scripted", bench / "log", environment) as worker:
        with pytest.raises(CallFailed) as caught:
            worker.ask(Probe(), 30)
        assert "ended with exit code 1" in caught.value.failure.message
        assert "Python" in caught.value.failure.detail


def test_an_interpreter_that_does_not_exist_leaves_no_pipe_behind(bench: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    with pytest.raises(OSError, match="nowhere"):
        Worker("scripted", bench / "log", {}, interpreter="/nowhere/python")
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_named_like_a_package_in_the_current_folder_shadows_nothing(bench: Path) -> None:
    (bench / "backends.py").write_text("raise SystemExit('shadowed')")
    (bench / "json.py").write_text("raise SystemExit('shadowed')")
    with Worker("scripted", bench / "log", worker_environment(os.environ, None)) as worker:
        assert worker.ask(Probe(), 30).availability.usable


def test_leaving_by_an_exception_kills_without_waiting(bench: Path) -> None:
    worker = Worker("scripted", bench / "log", worker_environment(os.environ, None))
    with pytest.raises(KeyError), worker:
        raise KeyError
    assert not worker.alive
    assert "did not close" not in worker.log.read_text()


def test_closing_twice_and_killing_after_closing_do_nothing(worker: Worker) -> None:
    opened(worker)
    worker.ask(Close(), 30)
    worker.close()
    worker.close()
    worker.kill()


# ----------------------------------------------------------------------------------------------------- environment


def test_workers_see_an_allow_list_of_the_environment() -> None:
    outer = {
        "PATH": "/bin",
        "HF_HOME": "/cache",
        "CUDA_VISIBLE_DEVICES": "1",
        "AWS_SECRET_ACCESS_KEY": "s",
        "USER": "ada",
        "GITHUB_TOKEN": "t",
    }
    inner = worker_environment(outer, None)
    assert inner == {
        "PATH": "/bin",
        "HF_HOME": "/cache",
        "CUDA_VISIBLE_DEVICES": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
    }


def test_threads_are_set_where_the_sweep_names_them() -> None:
    assert worker_environment({"OMP_NUM_THREADS": "8", "OMP_WAIT_POLICY": "ACTIVE"}, 1) == {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "VECLIB_MAXIMUM_THREADS": "1",
        "OMP_WAIT_POLICY": "ACTIVE",
        "TOKENIZERS_PARALLELISM": "false",
    }
    assert worker_environment({"OMP_NUM_THREADS": "8"}, None)["OMP_NUM_THREADS"] == "8"
