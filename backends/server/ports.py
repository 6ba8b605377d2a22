"""A free port, and whose it is in the end.

Between choosing a port and the server's binding it, another process may take it. Some servers then end, some bind it as
well (SO_REUSEPORT) and get a share of the requests each. So a server counts as ours only when it alone listens.
"""

import socket
from pathlib import Path

HOST = "127.0.0.1"
LISTEN = "0A"  # include/net/tcp_states.h
TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_taken(port: int) -> bool:
    """Does anybody listen there? Connections in TIME_WAIT do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def foreign_listener(port: int, pids: set[int]) -> bool | None:
    """Does a process other than `pids` listen on `port`? None where the system does not say (no /proc)."""
    inodes = _listening(port)
    if inodes is None:
        return None
    ours = {inode for pid in pids for inode in _sockets(pid)}
    return bool(inodes - ours)


def _listening(port: int) -> set[str] | None:
    rows = [
        line.split() for table in TABLES if Path(table).exists() for line in Path(table).read_text().splitlines()[1:]
    ]
    if not rows and not Path(TABLES[0]).exists():
        return None
    # proc(5): local address as HEX:PORT is field 2, the state 4, the inode 10
    return {row[9] for row in rows if row[3] == LISTEN and int(row[1].rpartition(":")[2], 16) == port}


def _sockets(pid: int) -> set[str]:
    """Inodes of the sockets a process has open."""
    found = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:  # it ended, or closed one, while it was looked at
        return found
    return found
