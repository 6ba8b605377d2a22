"""100,000 generations with 1,000,000 rounds, in one file and in twenty: shown and reported in at most 30 s and 1 GB."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.big_run import write_big_run

LIMIT_S = 30.0
LIMIT_BYTES = 1 << 30
UNITS, FILES = 1430, 20

_CHILD = """
import resource, sys
from mtpbench.cli import run
code = run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)
sys.exit(code)
"""


def measure(folder: Path) -> bool:
    """Write the files, show and report them in processes of their own; True if time and memory hold together."""
    whole, parts = [folder / "big.sqlite"], [folder / f"part{n}.sqlite" for n in range(FILES)]
    start = time.perf_counter()
    size = write_big_run(whole[0], units=UNITS)
    for number, path in enumerate(parts):
        write_big_run(path, units=-(-UNITS // FILES), seed=number)
    print(f"{'':<12} wrote {size} and the same in {FILES} files in {time.perf_counter() - start:.0f} s")
    output = ["-o", str(folder / "big.html")]
    held = [
        _timed("one file shown and reported", [["show", str(whole[0])], ["report", str(whole[0]), *output]]),
        _timed(f"{FILES} files reported", [["report", *map(str, parts), *output]]),
    ]
    return all(held)


def _timed(what: str, commands: Sequence[Sequence[str]]) -> bool:
    """Print a line; True if all together hold."""
    seconds, peak = 0.0, 0
    for arguments in commands:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds, peak = seconds + time.perf_counter() - start, max(peak, int(done.stderr.split()[-1]))
    held = seconds <= LIMIT_S and peak <= LIMIT_BYTES
    print(f"{'holds' if held else 'FALLS SHORT':<12} {what} in {seconds:.1f} s, {peak / 2**20:.0f} MiB")
    return held
