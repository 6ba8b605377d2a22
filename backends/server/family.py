"""A process and everything that descends from it, by the system's own table; nothing to install.

A process is known by its id and its start, so that an id that was given away again is never taken for it.
"""

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Process(NamedTuple):
    pid: int
    started: str
    """As the system writes it; "" where it does not say."""


def descendants(pid: int) -> set[Process]:
    """Everything below `pid`, itself left out."""
    table = _table()
    found: set[Process] = set()
    parents = {pid}
    while parents:
        below = {process for process, parent in table.items() if parent in parents} - found
        found |= below
        parents = {process.pid for process in below}
    return found


def kill(processes: set[Process]) -> None:
    """SIGKILL to those that still live."""
    for process in processes & _table().keys():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


def _table() -> dict[Process, int]:
    """Every process -> its parent's id."""
    return _proc() if (PROC / "self" / "stat").exists() else _ps()


def _proc() -> dict[Process, int]:
    table = {}
    for folder in PROC.iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):  # gone since it was listed
                # proc(5): pid (comm) state ppid … starttime is field 22; comm may hold blanks and parentheses
                fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                table[Process(int(folder.name), fields[19])] = int(fields[1])
    return table


def _ps() -> dict[Process, int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,lstart="], capture_output=True, text=True, check=True)
    rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return {Process(int(pid), started.strip()): int(parent) for pid, parent, started in rows}
