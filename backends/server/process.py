"""A server of our own: started on a free port, waited for, and gone with everything it started.

It stays in the worker's process group, so that a kill of the group takes it along; on Linux it also dies with the
worker itself (`backends.server.tether`). Its output goes to the worker's stdout and is kept for `Server.output`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from backends.base import EngineLost
from backends.server import family, ports
from backends.server.output import Output

READY_WITHIN = 600.0
"""Seconds a server has to become healthy; loading a large model from a slow disk takes minutes."""
DYING = 1.0
"""Seconds within which a server that broke a connection is seen to be dead."""
GRACE = 10.0
"""Seconds from SIGTERM to SIGKILL."""
PORTS_TRIED = 4
ANSWER = 2.0
"""Seconds that one question about its health waits; it is asked again."""
TETHER = Path(__file__).with_name("tether.py")


Reason = Callable[[list[str]], str | None]
"""Lines of output -> the one that says why the server ended, if any does."""


class NotStarted(RuntimeError):
    """A server that died, or did not become healthy; `said`: what it gave as the reason, "" where nothing."""

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


class PortTaken(Exception):
    """Somebody else listens on the port that was chosen."""


class Server:
    """A server that is up."""

    def __init__(
        self, name: str, port: int, process: subprocess.Popen[bytes], output: Output, reason: Reason | None = None
    ) -> None:
        self.name = name
        self.port = port
        self.url = f"http://{ports.HOST}:{port}"
        self.output = output
        self.family: set[family.Process] = set()
        """What it had started by the time it was healthy; found again even if it crashes."""
        self.healthy_at = 0
        """The mark in its output where it had become healthy: what it said before does not explain a later end."""
        self._process, self._reason = process, reason

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> str | None:
        """How the server ended, e.g. `ended by SIGABRT`; None while it runs."""
        status = self._process.poll()
        return None if status is None else _status(status)

    def check(self) -> None:
        """Raises EngineLost with the end of its output where the server has died, or does so in a moment."""
        with suppress(subprocess.TimeoutExpired):  # a connection breaks before the process is gone
            self._process.wait(DYING)
        if (ended := self.ended()) is not None:
            raise EngineLost(self.last_words(ended))

    def last_words(self, what: str) -> str:
        """One line: the server, `what`, and why, by its own words. Below it, the end of its output."""
        if self._process.poll() is not None:
            self.output.join(1.0)
        tail = self.output.tail()
        last = next((line for line in reversed(tail.splitlines()) if line.strip()), "nothing")
        said = self.said() or f"its last line: {last}"
        return f"{self.name} {what}: {' '.join(said.split())[:300]}\n{tail}"

    def said(self) -> str:
        """What the server gave as the reason of its end; "" where nothing is known to be one."""
        return (self._reason(self.output.since(self.healthy_at)) or "").strip() if self._reason is not None else ""


@contextmanager
def started(
    name: str,
    command: Callable[[int], Sequence[str]],
    *,
    environment: Mapping[str, str | None] | None = None,
    health: str = "/health",
    within: float = READY_WITHIN,
    grace: float = GRACE,
    watch: Callable[[str], None] | None = None,
    reason: Reason | None = None,
) -> Iterator[Server]:
    """A healthy server for a `with` block.

    name: as failures call it. command: the program and its arguments for a port; it must listen on 127.0.0.1.
    environment: added to the worker's own; a None takes a variable away.
    health: a path that answers 200 once requests can be served. within: seconds to get there.
    watch: see `Output`. reason: finds in the output why the server ended.
    Call it from a thread that outlives the block: on Linux the server dies with the thread that started it.
    Raises NotStarted, one line and the end of the output, where the server dies or does not become healthy.
    """
    for attempt in range(PORTS_TRIED):
        port = ports.free_port()
        server, process = _launch(name, port, command(port), environment, watch, reason)
        try:
            try:
                _wait_until_healthy(server, health, within)
            except PortTaken:
                if attempt + 1 < PORTS_TRIED:
                    continue
                raise NotStarted(f"{name} found {PORTS_TRIED} ports taken, one after another") from None
            server.family, server.healthy_at = family.descendants(process.pid), server.output.mark()
            yield server
            return
        finally:
            _stop(server, process, grace)


def _launch(
    name: str,
    port: int,
    command: Sequence[str],
    environment: Mapping[str, str | None] | None,
    watch: Callable[[str], None] | None,
    reason: Reason | None,
) -> tuple[Server, subprocess.Popen[bytes]]:
    merged: dict[str, str | None] = {**os.environ, **(environment or {})}
    source, sink = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={name: value for name, value in merged.items() if value is not None},
        )
    except BaseException:
        os.close(source)
        raise
    finally:
        os.close(sink)
    return Server(name, port, process, Output(source, 1, watch), reason), process


def _wait_until_healthy(server: Server, health: str, within: float) -> None:
    deadline, pause, said = time.monotonic() + within, 0.02, "nothing"
    with httpx.Client(trust_env=False, timeout=ANSWER) as client:
        while (ended := server.ended()) is None:
            try:
                answer = client.get(server.url + health)
                said = f"{answer.status_code} {' '.join(answer.text.split())[:200]}"
                if answer.status_code == httpx.codes.OK:
                    _must_be_ours(server)
                    return
            except httpx.TransportError as error:
                said = type(error).__name__
            if time.monotonic() > deadline:
                what = f"was not healthy within {within:g} s ({health} said last: {said})"
                raise NotStarted(server.last_words(what), server.said())
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)
    if ports.is_taken(server.port):
        raise PortTaken
    raise NotStarted(server.last_words(f"{ended} before it was healthy"), server.said())


def _must_be_ours(server: Server) -> None:
    pids = {server.pid} | {process.pid for process in family.descendants(server.pid)}
    if server.ended() is not None or ports.foreign_listener(server.port, pids):
        raise PortTaken


def _stop(server: Server, process: subprocess.Popen[bytes], grace: float) -> None:
    """SIGTERM, SIGKILL after `grace` seconds; then whatever it started and left behind."""
    rest = server.family | family.descendants(process.pid)
    process.terminate()
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        family.kill(rest)
    server.output.join(1.0)


def _status(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended by signal {-status}"
