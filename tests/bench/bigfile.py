"""A run file of 100,000 generations and 1,000,000 rounds: shown and reported in at most 30 s and 1 GB."""

import subprocess
import sys
import time
from pathlib import Path

from tests.support.big_run import write_big_run

LIMIT_S = 30.0
LIMIT_BYTES = 1 << 30

_CHILD = """
import resource, sys
from mtpbench.cli import run
code = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)
sys.exit(code)
"""


def measure(folder: Path) -> bool:
    """Write the file, show and report it in processes of their own; True if time and memory hold together."""
    path = folder / "big.sqlite"
    start = time.perf_counter()
    size = write_big_run(path)
    print(f"{'':<12} wrote {size} in {time.perf_counter() - start:.0f} s, {path.stat().st_size / 2**20:.0f} MiB")
    seconds, peak = 0.0, 0
    for arguments in (["show", str(path)], ["report", str(path), "-o", str(folder / "big.html")]):
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        took = time.perf_counter() - start
        memory = int(done.stderr.split()[-1])
        print(f"{'':<12} {arguments[0]}: {took:.1f} s, {memory / 2**20:.0f} MiB")
        seconds, peak = seconds + took, max(peak, memory)
    held = seconds <= LIMIT_S and peak <= LIMIT_BYTES
    print(f"{'holds' if held else 'FALLS SHORT':<12} shown and reported in {seconds:.1f} s, {peak / 2**20:.0f} MiB")
    return held
