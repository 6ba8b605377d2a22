"""What an interpreter of another environment sees of mtpbench: `backends` and `results`, and nothing beside them.

`PYTHONPATH` is a folder with a link to each. Putting our own site-packages on its path would mix two environments;
installing a copy would go stale with every change of ours.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import backends
import results
from harness.settings import cache

SHOWN = (backends, results)
"""The packages that a worker imports."""


def bridged(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with the bridge as its only `PYTHONPATH`; what names a virtual environment of ours is left out."""
    inner = {key: value for key, value in environment.items() if key not in ("VIRTUAL_ENV", "PYTHONHOME")}
    return {**inner, "PYTHONPATH": str(_bridge())}


def _bridge() -> Path:
    folders = [Path(package.__path__[0]).resolve() for package in SHOWN]
    bridge = cache() / "bridges" / hashlib.sha256(repr(folders).encode()).hexdigest()[:12]
    bridge.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        link = bridge / folder.name
        if not link.is_symlink():
            try:
                link.symlink_to(folder, target_is_directory=True)
            except FileExistsError:
                continue  # another process was faster
    return bridge
