"""A worker process as its parent holds it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self, TypeVar

from backends.protocol import Ask, Generate, Generated, read_reply, request_line
from results.records import Prompt, Request

R = TypeVar("R")


class Child:
    """Started at once; leaving the block closes its requests, which ends it."""

    def __init__(self, backend: str, log: Path, environment: Mapping[str, str]) -> None:
        request_fd, requests = os.pipe()
        replies, reply_fd = os.pipe()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "backends.worker", backend, str(request_fd), str(reply_fd)],
                pass_fds=(request_fd, reply_fd),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
            )
        os.close(request_fd)
        os.close(reply_fd)
        self.requests, self.replies = os.fdopen(requests, "wb"), os.fdopen(replies, "rb")

    def tell(self, line: bytes) -> bytes:
        self.requests.write(line)
        self.requests.flush()
        return self.replies.readline()

    def ask(self, ask: Ask[R]) -> R:
        return read_reply(ask, self.tell(request_line(ask)))

    def say(self, order: str) -> Generated:
        return self.ask(Generate((Prompt("p", "w", "c", None, order),), Request(1)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.requests.close()
        self.process.wait(10)
        self.replies.close()
