"""What native code prints to standard error, seen without being taken out of the worker's log."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile

STDERR = 2


@dataclass(slots=True)
class Printed:
    """What was printed; empty until the block is left."""

    text: bytes = b""


@contextmanager
def printed() -> Iterator[Printed]:
    """Standard error's descriptor goes to a file inside the block; afterwards its content follows to where it went.

    Everything that the whole process prints there meanwhile is seen, so the block is to be short.
    """
    seen = Printed()
    sys.stderr.flush()
    with TemporaryFile() as file, os.fdopen(os.dup(STDERR), "wb") as before:
        os.dup2(file.fileno(), STDERR)
        try:
            yield seen
        finally:
            sys.stderr.flush()
            os.dup2(before.fileno(), STDERR)
            file.seek(0)
            seen.text = file.read()
            file.seek(0)
            shutil.copyfileobj(file, before)
