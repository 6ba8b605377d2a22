"""How long `mtpbench gate` takes on two run files of ordinary size: what a CI job waits for."""

import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from tests.support.big_run import write_big_run

LIMIT_S = 3.0
RUNS = 3


def measure(folder: Path) -> bool:
    """Print the median of a whole command, and how much of it the two files take; True if it holds."""
    now, before = folder / "now.sqlite", folder / "before.sqlite"
    size = write_big_run(before, units=72)
    shutil.copy(before, now)
    with closing(sqlite3.connect(now)) as connection:  # a run of its own: one and the same is refused
        connection.execute("UPDATE run SET value = '1' WHERE key = 'created_unix_ns'")
        connection.commit()
    gate, alone = _median("gate", str(now), "--baseline", str(before)), _median("--help")
    held = gate <= LIMIT_S
    print(
        f"{'holds' if held else 'FALLS SHORT':<12} mtpbench gate    {gate:.2f} s on two files of {size} each "
        f"(limit {LIMIT_S} s; {gate / alone:.1f}x --help; median of {RUNS})"
    )
    return held


def _median(*arguments: str) -> float:
    command = [str(Path(sys.executable).with_name("mtpbench")), *arguments]
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
