"""A bench for the harness: the scripted runtime as an installed package, a pair, a workload, and a sweep over them."""

import json
import os
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from certifying import Certified
from support.processes import below, none_left

from harness.experiment import measure
from harness.sweep import Sweep

RUNTIME = Path(__file__).parent / "runtime"
ENTRY_POINTS = """[mtpbench.backends]
scripted = scripted_runtime:PerRequest
launched = scripted_runtime:PerLaunch
scripted-loop = scripted_runtime:Looping
absent = scripted_runtime:Absent
dying = scripted_runtime:Dying
scripted-scorer = scoring_runtime:Scorer
scripted-mute = scoring_runtime:Mute
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with `pair/` and `texts.jsonl`; workers and this process can find the scripted backends."""
    info = tmp_path / "packages" / "scripted_runtime-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: scripted-runtime\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    for path in (info.parent, RUNTIME):
        monkeypatch.syspath_prepend(path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (info.parent, RUNTIME))))
    (tmp_path / "pair").mkdir()
    (tmp_path / "pair" / "config.json").write_text("{}")
    rows = [{"id": f"p{i:02}", "text": f"{i:02} is the prompt. " * 20, "category": "ab"[i % 2]} for i in range(30)]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sweep(bench: Path) -> Callable[..., Sweep]:
    """A small sweep over scripted runtimes; keyword arguments override it, `options` are the first runtime's own."""

    def make(options: dict[str, Any] | None = None, *backends: str, **overrides: object) -> Sweep:
        backends = backends or ("scripted",)
        table = {
            "name": "test",
            "backends": backends,
            "pairs": [f"{bench}/pair:{bench}/pair"],
            "workloads": [str(bench / "texts.jsonl")],
            "draft_lengths": [1, 2],
            "prompt_tokens": [16],
            "output_tokens": 12,
            "prompts": 3,
            "backend": {backends[0]: options or {}},
        }
        return Sweep(**{**table, **overrides})  # type: ignore[arg-type]

    return make


@pytest.fixture
def certify(bench: Path, sweep: Callable[..., Sweep]) -> Callable[..., Certified]:
    """Measures a small sweep over a runtime that scores, without timing unless told so; as `sweep`, it takes options
    and overrides."""
    made = count()

    def run(options: dict[str, Any] | None = None, backend: str = "scripted-scorer", **overrides: object) -> Certified:
        done = Certified(bench / f"run-{next(made)}.sqlite", bench / f"calls-{next(made)}.jsonl")
        asked = sweep({**(options or {}), "log": str(done.log)}, backend, **{"speed": False, **overrides})
        assert measure(asked, done.path).state == "finished"
        return done

    return run


@pytest.fixture(autouse=True)
def _no_orphans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whatever a test does, no process that it started outlives it."""
    base = tmp_path_factory.getbasetemp()
    before = below(base)
    yield
    none_left(base, before)
