"""Processes that tests started: which are there, and have they ended?

What has ended and waits to be reaped (a zombie) is gone here: when an orphan is reaped is up to the machine's init.
"""

import time
from collections.abc import Callable, Collection
from pathlib import Path

import psutil


def below(folder: Path) -> set[psutil.Process]:
    """Our descendants, and what was orphaned and so is nobody's: known by `folder` in its environment (PYTHONPATH)."""
    found = set(psutil.Process().children(recursive=True))
    for process in psutil.process_iter():
        try:
            if any(str(folder) in value for value in process.environ().values()):
                found.add(process)
        except psutil.Error:  # ended meanwhile, or another user's
            continue
    return {process for process in found - {psutil.Process()} if not gone(process.pid)}


def none_left(folder: Path, before: Collection[psutil.Process] = ()) -> None:
    """Nothing is `below` that was not there before, at the latest after 5 s; an AssertionError says what is."""
    deadline = time.monotonic() + 5
    while left := below(folder).difference(before):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits until `condition` holds; an AssertionError says that it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not happen within {seconds:g} s"
        time.sleep(0.05)
