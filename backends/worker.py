"""The process that hosts one runtime: `python -P -m backends.worker BACKEND REQUEST_FD REPLY_FD`.

Requests and replies (`backends.protocol`) travel over two pipes that nothing else writes to; stdout and stderr
belong to the runtime and go wherever the parent sent them. The worker leads its own process group. When the
request pipe closes before a `close` was answered, the parent is gone, even by kill -9, and the whole group is
killed at once, servers it started included. A thread sees to that, so native code delays it only while that
code keeps the interpreter lock.

Timing: after an engine is up, everything it made is taken out of the collector's sight (`gc.freeze`), and the
collector is off while a generation runs, so that no collection falls into a measured call; it runs between calls.
"""

import faulthandler
import gc
import io
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

from backends import discover, protocol
from backends.base import Backend, EngineLost, Session
from results.errors import UsageError


class Host:
    """One backend, and the one session it may hold."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ended = False
        """`close` was asked for: nothing may follow."""
        self._backend: Backend | None = None
        self._session: Session | None = None
        self._open = ExitStack()

    def answer(self, ask: protocol.Ask[Any]) -> object:
        """What `ask` asks for, of the type it declares."""
        match ask:
            case protocol.Probe():
                return protocol.Probed(self.backend.probe(), self.backend.capabilities)
            case protocol.Open(pair, engine):
                if self._session is not None:
                    raise UsageError("this worker already holds an open session; start another worker")
                self._session = self._open.enter_context(self.backend.open(pair, engine))
                gc.collect()
                gc.freeze()
                return self._session.facts
            case protocol.Encode(texts, chat, thinking):
                return tuple(self.session.encode(text, chat=chat, thinking=thinking) for text in texts)
            case protocol.Generate():
                return self.generate(ask)
            case protocol.Score(prompt, continuation, sampling):
                return tuple(self.session.score(prompt, continuation, sampling))
            case protocol.Profile(prompt, continuation, k_max):
                return tuple(self.session.profile(prompt, continuation, k_max))
            case protocol.Close():
                self.ended = True
                self._open.close()
                return None
        raise UsageError(f"a worker cannot answer {type(ask).__name__}")

    def generate(self, ask: protocol.Generate) -> protocol.Generated:
        session = self.session
        with _no_collection():
            started = time.time_ns()
            cpu, wall = time.process_time_ns(), time.perf_counter_ns()
            generations = session.generate(ask.prompts, ask.request)
            wall, cpu = time.perf_counter_ns() - wall, time.process_time_ns() - cpu
        return protocol.Generated(tuple(generations), started, wall, cpu)

    @property
    def backend(self) -> Backend:
        # Loaded at the first request, so that an adapter that cannot be imported is a reply, not a dead worker.
        if self._backend is None:
            self._backend = discover.load(self.name)
        return self._backend

    @property
    def session(self) -> Session:
        if self._session is None:
            raise UsageError("no session is open in this worker; ask `open` first")
        return self._session


@contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def reply_to(host: Host, line: bytes) -> bytes:
    """The reply line for a request line. Every failure of a runtime ends here, as a `Problem`."""
    try:
        ask = protocol.read_request(line)
        return protocol.reply_line(ask, host.answer(ask))
    except UsageError as error:
        return protocol.problem_line(protocol.Problem("usage", str(error), ""))
    except Exception as error:  # noqa: BLE001 - the worker boundary: whatever a runtime throws becomes a reply
        first = (str(error).strip() or "no message").splitlines()[0]
        message = first if isinstance(error, EngineLost) else f"{type(error).__name__}: {first}"
        return protocol.problem_line(protocol.Problem(_kind(error), message, traceback.format_exc()))


def _kind(error: Exception) -> protocol.ProblemKind:
    if isinstance(error, EngineLost):
        return "lost"
    return "oom" if _out_of_memory(error) else "error"


def _out_of_memory(error: BaseException) -> bool:
    """Python's own, PyTorch's class (known by name: the worker imports no runtime), or its CPU allocator's words."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("can't allocate memory", "not enough memory", "out of memory")
    )


def serve(name: str, request_fd: int, replies: BinaryIO) -> None:
    """Answer requests in turn until `close`; end the process group where the requests end before it."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    closing = threading.Event()

    def read() -> None:
        for line in _lines(request_fd):
            lines.put(line)
        if not closing.is_set():
            os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=read, name="requests", daemon=True).start()
    host = Host(name)
    while not host.ended:
        reply = reply_to(host, lines.get())
        if host.ended:
            closing.set()
        replies.write(reply)
        replies.flush()


def _lines(fd: int) -> Iterator[bytes]:
    """Complete lines from a pipe. Not a file object: its lock would be held by a thread at the interpreter's end."""
    rest = b""
    while chunk := os.read(fd, 1 << 16):
        *complete, rest = (rest + chunk).split(b"\n")
        yield from complete


def main(arguments: list[str]) -> None:
    name, request_fd, reply_fd = arguments
    faulthandler.enable()  # a crash of the runtime leaves its stack in the log
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # and what it printed before
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    with os.fdopen(int(reply_fd), "wb") as replies:
        serve(name, int(request_fd), replies)


if __name__ == "__main__":
    main(sys.argv[1:])
