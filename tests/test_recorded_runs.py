"""Two small recorded runs, read by every command: what is said of them stays what it was.

`tests/data/recorded-{a,b}.sqlite` are real runs of the demo pair (Transformers and the reference engine, k = 1 and 2,
four prompts of 16 tokens, 8 new ones) on a machine with other load. After a deliberate change of a verdict's shape or
rule: MTPBENCH_REWRITE=1 pytest tests/test_recorded_runs.py, and read the difference.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

import workloads
from backends import quoting
from mtpbench.cli import run

DATA = Path(__file__).parent / "data"
HERE = Path(workloads.__file__).parents[1]
RUNS = ("recorded-a.sqlite", "recorded-b.sqlite")
COMMANDS = {
    "show": ["show", RUNS[0]],
    "compare": ["compare", *RUNS],
    "recommend": ["recommend", *RUNS],
    "gate": ["gate", RUNS[1], "--baseline", RUNS[0], "--max-speedup-loss", "10%", "--require-equivalence"],
    "claims": ["claims", RUNS[0]],
    "history": ["history", "."],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_said_of_recorded_runs_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in RUNS:
        shutil.copy(DATA / file, tmp_path / file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quoting, "LONG", 10_000)  # where a call is broken follows the length of the demo pair's path
    code = run([*COMMANDS[name], "--json"])
    text = capsys.readouterr().out.replace(str(HERE), "PROJECT")  # the demo pair's folder, in deployment texts
    said = {"code": code, "said": json.loads(text)}
    golden = DATA / f"{name}.json"
    if os.environ.get("MTPBENCH_REWRITE"):
        golden.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n", "utf-8")
    same(said, json.loads(golden.read_text("utf-8")), name)


def same(found: Any, expected: Any, where: str) -> None:
    """Numbers to six digits: libraries of another version sum in another order."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for at, value in enumerate(expected):
            same(found[at], value, f"{where}[{at}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12), where
    else:
        assert found == expected, where
