"""What a server prints: copied to the worker's own stdout (its log) as it comes, its latest lines kept for reading."""

import os
import threading
from collections import deque
from collections.abc import Callable

KEPT = 5_000
"""Lines kept in memory; all of them are in the worker's log."""
TAIL = 20
"""Lines quoted in a failure."""


class Output:
    """Reads `source` to its end in a thread of its own and copies it to `sink`, both file descriptors."""

    def __init__(self, source: int, sink: int, watch: Callable[[str], None] | None = None) -> None:
        """watch: called with every complete line, from the reading thread; it must not raise."""
        self._source, self._sink, self._watch = source, sink, watch
        self._lines: deque[str] = deque(maxlen=KEPT)
        self._count = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._copy, name="server output", daemon=True)
        self._thread.start()

    def mark(self) -> int:
        """Lines so far, for `since`."""
        with self._changed:
            return self._count

    def since(self, mark: int = 0) -> list[str]:
        """Complete lines that came after `mark`, as far as they are still kept."""
        with self._changed:
            new = min(self._count - mark, len(self._lines))
            return list(self._lines)[len(self._lines) - new :]

    def wait_for(self, wanted: Callable[[str], bool], mark: int = 0, timeout: float = 5.0) -> str | None:
        """The first line after `mark` that is `wanted`; None where none comes within `timeout` seconds."""
        found: list[str] = []

        def seen() -> bool:
            found[:] = [line for line in self.since(mark) if wanted(line)]
            return bool(found)

        with self._changed:
            self._changed.wait_for(seen, timeout)
        return found[0] if found else None

    def tail(self, lines: int = TAIL) -> str:
        return "\n".join(self.since()[-lines:])

    def join(self, timeout: float) -> None:
        """Wait for the end of the output: a server that has died may still have words in the pipe."""
        self._thread.join(timeout)

    def _copy(self) -> None:
        rest = b""
        while chunk := os.read(self._source, 1 << 16):
            _write(self._sink, chunk)
            *complete, rest = (rest + chunk).split(b"\n")
            self._keep(complete)
        if rest:
            self._keep([rest])
        os.close(self._source)

    def _keep(self, lines: list[bytes]) -> None:
        texts = [line.decode("utf-8", "replace").rstrip("\r") for line in lines]
        with self._changed:
            self._lines.extend(texts)
            self._count += len(texts)
            self._changed.notify_all()
        if self._watch is not None:
            for text in texts:
                self._watch(text)


def _write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]
