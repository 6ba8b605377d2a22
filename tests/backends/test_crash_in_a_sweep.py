"""One of two real runtimes crashes in the middle of a sweep: the other one's cells are measured, and the run says so.

The crash is staged, its victim is real: a llama-server (llama.cpp, with the drafter) that gets a SIGSEGV while it works
on its n-th request. `ALREADY` counts the crashes.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hosted import needs

from harness.interpreters import interpreter_of
from results.runfile import RunFile

pytestmark = [pytest.mark.model, needs("llamacpp")]

SWEEP = "-b transformers -b llamacpp -m demo -w demo -k 4 -p 64 -n 12 --prompts 4 --repeats 1 --time-budget 5m --json"
TASK = 4
"""The request of each speculative server that it crashes on."""
FRAIL = """#!{python}
import os, pathlib, signal, subprocess, sys
command = [sys.executable, "-P", "-m", "backends.llama.serve", *sys.argv[1:]]
server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
signal.signal(signal.SIGTERM, lambda *_: server.terminate())
already, tasks = pathlib.Path({already!r}), 0
for line in server.stdout:
    os.write(1, line)
    tasks += b"processing task" in line
    crashes = len(already.read_text()) if already.exists() else 0
    if tasks == {task} and "mtp" in " ".join(sys.argv) and crashes < {times}:
        already.write_text("x" * (crashes + 1))
        server.send_signal(signal.SIGSEGV)
        break
status = server.wait()
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


def crashing(folder: Path, times: int) -> tuple[int, dict[str, Any], RunFile]:
    """Exit code, `run --json`, and the run file, where the speculative server crashes so many times."""
    program, path = folder / "llama-server", folder / "run.sqlite"
    already = str(folder / "already")
    program.write_text(FRAIL.format(python=interpreter_of("llamacpp"), already=already, task=TASK, times=times))
    program.chmod(0o755)
    command = [
        sys.executable,
        "-m",
        "mtpbench",
        "run",
        *SWEEP.split(),
        "-o",
        f"llamacpp.server={program}",
        "--out",
        path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    return done.returncode, json.loads(done.stdout), RunFile.open(path)


def failures(file: RunFile) -> Counter[tuple[str, str]]:
    launches = file.launches()
    return Counter(
        (launches[trial.launch_id].backend, trial.failure.kind) for _, trial in file.trials() if trial.failure
    )


def test_a_server_that_crashes_once_is_launched_again_and_its_cells_are_measured(tmp_path: Path) -> None:
    code, shown, file = crashing(tmp_path, times=1)
    with file:
        assert failures(file) == {("llamacpp", "crash"): 1}
        (failure,) = [trial.failure for _, trial in file.trials() if trial.failure]
        assert failure.message.startswith("llama-server ended by SIGSEGV")
        (lost,) = [trial.launch_id for _, trial in file.trials() if trial.failure]
        assert any(trial.launch_id > lost and not trial.failure for _, trial in file.trials())
    assert {(cell["backend"], cell["status"]) for cell in shown["cells"]} == {
        ("transformers", "ok"),
        ("llamacpp", "ok"),
    }
    assert code == 0


def test_a_server_that_keeps_crashing_fails_its_cell_and_the_other_runtime_is_measured(tmp_path: Path) -> None:
    code, shown, file = crashing(tmp_path, times=99)
    with file:
        assert failures(file)["llamacpp", "crash"] == 2
        assert not any(backend == "transformers" for backend, _ in failures(file))
        assert file.state == "finished"
    status = {cell["backend"]: (cell["status"], cell["reason"]) for cell in shown["cells"]}
    assert status["transformers"] == ("ok", "")
    assert status["llamacpp"][0] == "failed"
    assert "llama-server ended by SIGSEGV" in status["llamacpp"][1]
    assert code == 4
