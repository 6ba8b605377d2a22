"""Runs a sweep in a process of its own, so that a test can interrupt or kill the harness."""

import json
import subprocess
import sys
import time
from pathlib import Path

from harness.sweep import Sweep
from results.store import RunFile

_CHILD = """
import json, resource, sys
from pathlib import Path
from harness.experiment import measure, resume
from harness.sweep import Sweep
from results.errors import UsageError
what, path, sweep, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    done = resume(Path(path)) if what == "resume" else measure(Sweep(**json.loads(sweep)), Path(path))
    print(done.state)
except UsageError as error:
    print(error)
except KeyboardInterrupt:
    print("nothing measured")
"""


def start(path: Path, sweep: Sweep | None, *, file_limit: int = 0) -> subprocess.Popen[str]:
    """Measure `sweep` into `path`, or resume `path` where it is None; files can grow to `file_limit` bytes."""
    what = ("resume", "") if sweep is None else ("measure", json.dumps(sweep.describe()))
    command = [sys.executable, "-c", _CHILD, what[0], str(path), what[1], str(file_limit)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def trials(path: Path) -> int:
    """Calls of blocks that are in the file by now; 0 while there is no file."""
    if not path.with_suffix(".logs").exists():  # made after the run file is whole
        return 0
    with RunFile.open(path, allow_live=True, thorough=False) as file:
        (found,) = file.query("SELECT count(*) FROM trial WHERE phase != 'warmup'")
    return int(found[0])


def wait_for_trials(path: Path, wanted: int, process: subprocess.Popen[str], seconds: float = 60) -> int:
    """Wait until the file holds so many; how many there are then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if (found := trials(path)) >= wanted:
            return found
        time.sleep(0.02)
    raise AssertionError(f"never saw {wanted} trials; exit code {process.poll()}")
