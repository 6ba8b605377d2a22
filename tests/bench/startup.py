"""How long a command takes before it answers."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT_S = 0.5
RUNS = 7


def _command(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("mtpbench")), *arguments]


def measure(run_file: Path) -> bool:
    """Print the median start of `--help` and `show`, and what a bare interpreter takes; True if both hold."""
    held = True
    bare = _median([sys.executable, "-c", "pass"])
    for arguments in (("--help",), ("show", str(run_file))):
        seconds = _median(_command(*arguments))
        ok = seconds <= LIMIT_S
        held &= ok
        print(
            f"{'holds' if ok else 'FALLS SHORT':<12} mtpbench {arguments[0]:<7} {seconds:.2f} s "
            f"(limit {LIMIT_S} s; {seconds / bare:.1f}x a bare interpreter's {bare:.3f} s; median of {RUNS})"
        )
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import mtpbench.cli"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    heavy = [name for name in ("torch", "pandas", "matplotlib") if f" {name}\n" in loaded]
    print(
        f"{'holds' if not heavy else 'FALLS SHORT':<12} --help imports none of torch, pandas, matplotlib {heavy or ''}"
    )
    return held and not heavy


def _median(command: list[str]) -> float:
    # An installed package comes with its bytecode; a checkout under PYTHONDONTWRITEBYTECODE would be compiled anew.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
