"""The worker answers on its own pipes, turns every failure into a reply, and never outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from children import Child
from offering import offer
from support.processes import eventually, gone

from backends.protocol import (
    Ask,
    Close,
    Encode,
    Generate,
    Open,
    Probe,
    Score,
    WorkerProblem,
    read_reply,
    request_line,
)
from results.records import Encoded, EngineConfig, Pair, Prompt, Request, Sampling

PAIR = Pair("fake", "fake", None)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    offer(tmp_path, "fake", "fake_runtime:Adapter")
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(Path(__file__).parent)))}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


@pytest.fixture
def child(environment: dict[str, str], log: Path) -> Iterator[Child]:
    with Child("fake", log, environment) as child:
        yield child


@pytest.fixture
def talker(child: Child) -> Child:
    child.ask(Open(PAIR, EngineConfig()))
    return child


def test_every_question_gets_its_answer(child: Child) -> None:
    probed = child.ask(Probe())
    assert (probed.availability.usable, probed.capabilities.methods) == (True, ("mtp",))
    assert child.ask(Open(PAIR, EngineConfig())).vocab_size == 256
    assert child.ask(Encode(("a", "bc"), True, True)) == (Encoded((2,), (97,), (3,)), Encoded((2,), (98, 99), (3,)))
    assert child.say("hello").generations[0].statement["order"] == "hello"
    scored = child.ask(Score(Prompt("p", "w", "c", (1,), None), (4, 5), Sampling()))
    assert [(s.position, s.token_id) for s in scored] == [(0, 4), (1, 5)]


def test_a_call_is_timed_inside_the_worker(talker: Child) -> None:
    before = time.time_ns()
    generated = talker.say("burn")
    assert before <= generated.started_unix_ns <= time.time_ns()
    assert generated.wall_ns >= 50_000_000 * 0.9
    assert generated.cpu_ns >= 50_000_000


def test_the_collector_rests_while_a_generation_runs(talker: Child) -> None:
    statement = talker.say("hello").generations[0].statement
    assert (statement["collecting"], statement["frozen"]) == (False, True)


def test_what_the_runtime_prints_goes_to_the_log_and_not_between_the_replies(talker: Child, log: Path) -> None:
    assert talker.say("print").generations[0].n_tokens == 1
    assert sorted(log.read_text().splitlines()) == ["chatter of a child", "chatter on stderr", "chatter on stdout"]


@pytest.mark.parametrize(
    ("order", "kind", "message"),
    [
        ("usage", "usage", "prompt is too long"),
        ("value", "error", "ValueError: first line"),
        ("memory", "oom", "MemoryError: no message"),
        ("torch-memory", "oom", "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 TiB"),
        ("cpu-memory", "oom", "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
    ],
)
def test_a_failure_is_a_reply_of_its_kind_and_the_worker_lives_on(
    talker: Child, order: str, kind: str, message: str
) -> None:
    with pytest.raises(WorkerProblem) as caught:
        talker.say(order)
    problem = caught.value.problem
    assert problem.kind == kind
    assert problem.message.startswith(message)
    assert "\n" not in problem.message
    assert ("Traceback" in problem.detail) == (kind != "usage")
    assert talker.say("hello").generations[0].n_tokens == 1


def test_a_line_that_is_no_request_is_answered_with_an_error(child: Child) -> None:
    reply = child.tell(b"what?\n")
    with pytest.raises(WorkerProblem, match="WireError: not JSON"):
        read_reply(Probe(), reply)
    assert child.ask(Probe()).availability.usable


def test_a_question_to_a_session_that_is_not_open_is_a_usage_error(child: Child) -> None:
    with pytest.raises(WorkerProblem, match="no session is open") as caught:
        child.say("hello")
    assert caught.value.problem.kind == "usage"


def test_a_model_that_is_missing_leaves_the_worker_free_for_another(child: Child) -> None:
    with pytest.raises(WorkerProblem, match="no such model") as caught:
        child.ask(Open(Pair("x", "missing", None), EngineConfig()))
    assert caught.value.problem.kind == "usage"
    child.ask(Open(PAIR, EngineConfig()))
    with pytest.raises(WorkerProblem, match="already holds an open session"):
        child.ask(Open(PAIR, EngineConfig()))


def test_an_unknown_backend_is_a_reply_and_not_a_dead_worker(environment: dict[str, str], log: Path) -> None:
    with Child("fakes", log, environment) as child, pytest.raises(WorkerProblem, match="did you mean fake"):
        child.ask(Probe())


def test_close_releases_the_session_and_ends_the_worker_in_good_order(child: Child, tmp_path: Path) -> None:
    note = tmp_path / "closed"
    child.ask(Open(PAIR, EngineConfig(options={"note_close": str(note)})))
    child.ask(Close())
    assert child.process.wait(10) == 0
    assert note.read_text() == "closed"


def test_a_runtime_that_crashes_ends_the_replies_and_leaves_its_stack_in_the_log(talker: Child, log: Path) -> None:
    reply = talker.tell(request_line(Generate((Prompt("p", "w", "c", None, "crash"),), Request(1))))
    assert reply == b""
    assert talker.process.wait(10) == -signal.SIGABRT
    assert "fake_runtime.py" in log.read_text()


def test_the_worker_leads_its_own_process_group(child: Child) -> None:
    child.ask(Probe())
    assert os.getpgid(child.process.pid) == child.process.pid


def test_a_closed_request_pipe_ends_worker_and_server_even_inside_native_code(talker: Child, tmp_path: Path) -> None:
    where = tmp_path / "pids"
    talker.requests.write(request_line(_serve(where)))
    talker.requests.flush()
    pids = _pids(where)
    talker.requests.close()
    assert talker.process.wait(5) == -signal.SIGKILL
    _all_gone(pids)


def test_a_parent_killed_with_9_takes_worker_and_server_with_it(
    environment: dict[str, str], log: Path, tmp_path: Path
) -> None:
    where = tmp_path / "pids"
    script = f"""
import time
from pathlib import Path
from backends.protocol import *
from children import Child
from results.records import *
child = Child("fake", Path({str(log)!r}), {environment!r})
child.ask({Open(PAIR, EngineConfig())!r})
child.requests.write(request_line({_serve(where)!r}))
child.requests.flush()
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], env=environment)
    pids = _pids(where)
    parent.kill()
    parent.wait(10)
    _all_gone(pids)


def _serve(where: Path) -> Ask[Any]:
    return Generate((Prompt("p", "w", "c", None, f"server:{where}"),), Request(1))


def _pids(where: Path) -> list[int]:
    eventually(lambda: where.exists() and len(where.read_text().split()) == 2)
    return [int(pid) for pid in where.read_text().split()]


def _all_gone(pids: list[int]) -> None:
    eventually(lambda: all(gone(pid) for pid in pids))
