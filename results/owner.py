"""Which process writes a run file, and whether it is still there."""

import hashlib
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from results.records import Json

if TYPE_CHECKING:
    import psutil

# Inside the functions: psutil costs 15 ms of the half second that `mtpbench show` may take, and few files need it.

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TOLERANCE_S = 2.0
"""Of a process's start: its two readings differ by rounding and by a clock that is being disciplined."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that no later one (same pid, other boot, other machine) is mistaken for it."""

    pid: int
    start_s: float
    """Start of the process, in seconds after the start of the machine, so that setting the clock does not move it."""
    host: str
    """A digest of the machine's name: enough to know it again, and tells nobody what it is called."""
    boot_id: str | None
    """Linux's name for this start of the machine; None elsewhere."""

    @classmethod
    def current(cls) -> "Owner":
        """This process."""
        import psutil

        here = psutil.Process()
        return cls(here.pid, _start_s(here), _host(), _boot_id())

    @classmethod
    def of_json(cls, value: Json) -> "Owner | None":
        """The owner that `as_json` wrote; None where `value` names none."""
        match value:
            case {"pid": int(pid), "start_s": float(start_s), "host": str(host), "boot_id": str() | None as boot_id}:
                return cls(pid, start_s, host, boot_id)
        return None

    def as_json(self) -> dict[str, Json]:
        """For the manifest key `writer`."""
        return asdict(self)

    def is_alive(self) -> bool:
        """Does this very process still run here? Of another machine nothing is known: False."""
        if self.host != _host() or self.boot_id != _boot_id():
            return False
        import psutil

        try:
            process = psutil.Process(self.pid)
            same = abs(_start_s(process) - self.start_s) <= _TOLERANCE_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, ValueError, OverflowError):
            return False  # a stranger's file may name a pid that no machine has


def _start_s(process: "psutil.Process") -> float:
    import psutil

    return float(process.create_time() - psutil.boot_time())


def _host() -> str:
    return hashlib.sha256(f"mtpbench/{socket.gethostname()}".encode()).hexdigest()[:16]


def _boot_id() -> str | None:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else None
