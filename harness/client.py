"""A worker seen from the harness: start it, ask it, time it out, and never leave a process behind.

    worker = Worker("transformers", log, environment)
    facts = worker.ask(Open(pair, engine), timeout_s=600)
    worker.close()

Requests and replies go over two pipes of their own; what the runtime prints goes to the log. The worker leads a
process group, and whenever it ends, in whatever way, the whole group is killed.
"""

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from backends.protocol import Ask, Close, WorkerProblem, read_reply, request_line
from backends.wire import WireError
from results.errors import UsageError
from results.records import Failure

R = TypeVar("R")

_LOG_TAIL_BYTES = 4000
_CLOSE_S = 30.0
"""For releasing an engine in good order."""
_EXIT_S = 10.0
"""Between the end of the pipe, or a kill, and the process being gone."""


class CallFailed(Exception):
    """A call gave nothing. `failure` says why; the worker still lives only where `alive`."""

    def __init__(self, failure: Failure, *, alive: bool) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.alive = alive


class Worker:
    """One child process that hosts one engine."""

    def __init__(
        self, backend: str, log: Path, environment: Mapping[str, str], interpreter: str = sys.executable
    ) -> None:
        """Start the process. `-P` keeps the current folder off its path, so that no file there shadows a package."""
        self.backend = backend
        self.log = log
        request_out, self._requests = os.pipe()
        self._replies, reply_in = os.pipe()
        os.set_blocking(self._requests, False)
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [interpreter, "-P", "-m", "backends.worker", backend, str(request_out), str(reply_in)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(environment),
                    pass_fds=(request_out, reply_in),
                    start_new_session=True,
                )
        except OSError:
            os.close(self._requests)
            os.close(self._replies)
            raise
        finally:
            os.close(request_out)
            os.close(reply_in)
        self._buffer = bytearray()

    @property
    def pid(self) -> int:
        """Process id, which is the id of its process group too."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Still running."""
        return self._process.poll() is None

    def ask(self, ask: Ask[R], timeout_s: float) -> R:
        """The worker's answer.

        Raises UsageError where the worker finds the input wrong, and CallFailed where the call ran out of memory
        or failed (the worker lives on), where the worker died, where it lost its engine, or where it did not answer
        within `timeout_s` (then it is killed).
        """
        deadline = time.monotonic() + timeout_s
        try:
            self._write(request_line(ask), deadline)
            return read_reply(ask, self._read_line(deadline))
        except WorkerProblem as error:
            problem = error.problem
            if problem.kind == "usage":
                raise UsageError(problem.message) from error
            if problem.kind == "lost":
                self.kill()
                raise CallFailed(Failure("crash", problem.message, problem.detail), alive=False) from error
            raise CallFailed(Failure(problem.kind, problem.message, problem.detail), alive=True) from error
        except TimeoutError as error:
            self.kill()
            message = f"{self.backend}: no answer to {ask.op} within {timeout_s:g} s; the worker was killed"
            raise CallFailed(Failure("timeout", message, self.log_tail()), alive=False) from error
        except (EOFError, BrokenPipeError) as error:
            raise CallFailed(self._post_mortem(ask), alive=False) from error
        except WireError as error:
            self.kill()
            message = f"{self.backend}: the answer to {ask.op} makes no sense: {error}"
            raise CallFailed(Failure("error", message, self.log_tail()), alive=False) from error

    def close(self) -> None:
        """Release the engine in good order, then make sure that nothing of it is left."""
        if self.alive:
            try:
                self.ask(Close(), _CLOSE_S)
                self._process.wait(_EXIT_S)
            except (CallFailed, UsageError, subprocess.TimeoutExpired) as error:
                with self.log.open("a", encoding="utf-8") as log:
                    log.write(f"\nmtpbench: did not close in good order: {error}\n")
        self.kill()

    def kill(self) -> None:
        """End the whole process group at once; does nothing the second time."""
        if self._requests < 0:
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            self._process.poll()  # already gone: only its exit code is left to collect
        self._process.wait(_EXIT_S)
        os.close(self._requests)
        os.close(self._replies)
        self._requests = self._replies = -1

    def log_tail(self) -> str:
        """The end of what the runtime printed."""
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
            return log.read().decode("utf-8", "replace").strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an interrupt nobody wants to wait for a runtime's good order.
        if kind is None:
            self.close()
        else:
            self.kill()

    def _write(self, line: bytes, deadline: float) -> None:
        rest = memoryview(line)
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_WRITE)
            while rest:
                if not selector.select(_left(deadline)):
                    raise TimeoutError
                rest = rest[os.write(self._requests, rest) :]

    def _read_line(self, deadline: float) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            while (end := self._buffer.find(b"\n")) < 0:
                if not selector.select(_left(deadline)):
                    raise TimeoutError
                chunk = os.read(self._replies, 1 << 20)
                if not chunk:
                    raise EOFError
                self._buffer += chunk
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def _post_mortem(self, ask: Ask[Any]) -> Failure:
        """Why the worker is gone: by signal or exit code, with the end of its log."""
        try:
            code = self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            code = None
        self.kill()
        if code is None:
            how = "closed its pipe"
        elif code < 0:
            hint = "; often the system's answer to a lack of memory" if -code == signal.SIGKILL else ""
            how = f"died of signal {-code} ({signal.strsignal(-code)}{hint})"
        else:
            how = f"ended with exit code {code}"
        return Failure("crash", f"{self.backend}: the worker {how} during {ask.op}", self.log_tail())


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
