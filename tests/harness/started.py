"""Processes that tests started, and no other run of the tests beside them."""

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
    return found - {psutil.Process()}
