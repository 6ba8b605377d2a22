"""A server of our own: up on a free port, gone on every exit path, its failures told in one line."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from backends.server import http, ports, process

FAKE = Path(__file__).with_name("fake_server.py")


def start(mode: str, **settings: Any) -> AbstractContextManager[process.Server]:
    return process.started("fake", lambda port: [sys.executable, str(FAKE), str(port), mode], grace=2.0, **settings)


def lives(pid: int) -> bool:
    """Not even a zombie counts."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int, within: float = 10.0) -> bool:
    deadline = time.monotonic() + within
    while lives(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not lives(pid)


def test_a_server_is_up_inside_the_block_and_gone_after_it() -> None:
    with start("fine") as server:
        assert httpx.get(server.url, trust_env=False).status_code == 200
        assert os.getpgid(server.pid) == os.getpgrp()  # a kill of the worker's group takes it along
        assert server.ended() is None
        server.check()
    assert gone(server.pid)
    assert not ports.is_taken(server.port)


def test_a_server_is_gone_after_an_exception_too() -> None:
    with pytest.raises(KeyError), start("fine") as server:
        raise KeyError
    assert gone(server.pid)


def test_its_environment_is_ours_with_additions_and_without_what_is_taken_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "ours")
    with start("fine") as server:
        assert httpx.get(server.url, trust_env=False).text == "ours"
    with start("fine", environment={"GIVEN": None}) as server:
        assert httpx.get(server.url, trust_env=False).text == ""
    with start("fine", environment={"GIVEN": "theirs"}) as server:
        assert httpx.get(server.url, trust_env=False).text == "theirs"


def test_a_server_that_ignores_sigterm_is_killed() -> None:
    with start("stubborn") as server:
        pass
    assert gone(server.pid)


def test_what_a_server_started_goes_with_it() -> None:
    with start("parent") as server:
        line = server.output.wait_for(lambda line: line.startswith("child"))
        assert line is not None
        child = int(line.split()[1])
        assert lives(child)
    assert gone(child)


def test_what_a_server_started_goes_even_after_it_crashed() -> None:
    with start("parent") as server:
        line = server.output.wait_for(lambda line: line.startswith("child"))
        assert line is not None
        os.kill(server.pid, signal.SIGKILL)
    assert gone(int(line.split()[1]))


def test_a_server_that_dies_at_once_is_told_in_one_line_with_its_output_below() -> None:
    with pytest.raises(process.NotStarted) as caught, start("dies"):
        pass
    first, *below = str(caught.value).splitlines()
    assert first == "fake ended by SIGABRT before it was healthy: its last line: bye"
    assert below == ["loading", "E cannot allocate the moon", "bye"]


def test_an_adapter_can_say_which_line_is_the_reason() -> None:
    def reason(lines: list[str]) -> str | None:
        return next((line for line in lines if line.startswith("E ")), None)

    with pytest.raises(process.NotStarted) as caught, start("dies", reason=reason):
        pass
    assert str(caught.value).splitlines()[0].endswith("before it was healthy: E cannot allocate the moon")
    assert caught.value.said == "E cannot allocate the moon"


def test_a_server_that_never_becomes_healthy_is_given_up_and_stopped() -> None:
    began = time.monotonic()
    seen: list[str] = []
    told = r"was not healthy within 1 s \(/health said last: 503 loading\)"
    with pytest.raises(process.NotStarted, match=told), start("sick", within=1.0, watch=seen.append):
        pass
    assert time.monotonic() - began < 8
    assert any("503" in line for line in seen)


def test_a_program_that_cannot_be_run_is_told() -> None:
    nowhere = process.started("fake", lambda port: ["/no/such/server", str(port)])
    with pytest.raises(process.NotStarted, match="/no/such/server cannot be run: No such file"), nowhere:
        pass


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_port_that_was_taken_meanwhile_is_noticed_and_another_one_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    free = ports.free_port
    with listening() as taken:
        chosen = iter([taken, taken])
        monkeypatch.setattr(ports, "free_port", lambda: next(chosen, None) or free())
        with start("fine") as server:
            assert server.port != taken
            assert httpx.get(server.url, trust_env=False).status_code == 200


def test_a_healthy_answer_by_somebody_else_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    free = ports.free_port
    with start("fine") as other:
        chosen = iter([other.port])
        monkeypatch.setattr(ports, "free_port", lambda: next(chosen, None) or free())
        with start("fine") as server:
            assert server.port != other.port


def test_ports_that_are_always_taken_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening() as taken:
        monkeypatch.setattr(process, "PORTS_TRIED", 2)
        monkeypatch.setattr(ports, "free_port", lambda: taken)
        with pytest.raises(process.NotStarted, match="found 2 ports taken, one after another"), start("fine"):
            pass


def test_a_crash_while_it_serves_is_told_with_its_last_words() -> None:
    with start("fine") as server, http.client(server.url) as client:
        with pytest.raises(RuntimeError, match="POST /crash"):
            http.post(client, "/crash", {})
        with pytest.raises(RuntimeError, match=r"fake ended by SIGKILL: its last line: GGML_ASSERT\(n > 0\) failed"):
            server.check()


HOLDER = """
import sys, time
from backends.server import process
with process.started("fake", lambda port: [sys.executable, sys.argv[1], str(port), "stubborn"]) as server:
    print("PID", server.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the tie to a parent that is killed is Linux's")
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_that_is_killed_leaves_no_server_behind(by: signal.Signals) -> None:
    worker = subprocess.Popen([sys.executable, "-c", HOLDER, str(FAKE)], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pid = int(next(line for line in worker.stdout if line.startswith("PID")).split()[1])
    assert lives(pid)
    worker.send_signal(by)  # it alone, not its group
    worker.wait(10)
    worker.stdout.close()
    assert gone(pid)


def test_output_is_kept_by_lines_and_found_from_a_mark_on() -> None:
    with start("fine") as server:
        mark = server.output.mark()
        httpx.get(server.url + "/here", trust_env=False)
        assert server.output.wait_for(lambda line: "/here" in line, mark) is not None
        assert server.output.wait_for(lambda line: "/there" in line, mark, timeout=0.05) is None
        assert [line for line in server.output.since(mark) if "/here" in line]
        assert server.output.since(server.output.mark()) == []
