"""Every verdict of a run, recomputed from its file: the shape of `mtpbench show --json`."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from results import imported, remarks
from results.ablations import ablations
from results.certificate import EQUIVALENCE_ORDER, SAMPLING_ORDER, RunCertificate
from results.errors import RunFileError
from results.evidence import Evidence
from results.group import Group
from results.records import (
    CERTIFICATE,
    MEASURED,
    SPECULATIVE,
    WARMUP,
)
from results.runfile import RunFile
from results.verdicts import CellVerdict, RunVerdict


@dataclass(frozen=True, eq=False)
class Judged:
    """The verdicts of a run file, and the groups behind them for whoever asks more of the same evidence."""

    verdict: RunVerdict
    groups: tuple[Group, ...]
    """Those that were measured, not imported."""


def judge(file: RunFile, *, confidence: float = 0.95) -> RunVerdict:
    """All verdicts of a run file, from what it stores and nothing else.

    confidence: of every interval, e.g. 0.95.
    """
    return judged(file, confidence=confidence).verdict


def judged(file: RunFile, *, confidence: float = 0.95) -> Judged:
    """The same, with the groups that it was computed from."""
    evidence = Evidence.of(file)
    numbers = sorted({cell.group for cell in evidence.cells.values()})
    groups = [Group(file, evidence, number, confidence) for number in numbers]
    stopped = file.stopped()
    ended = "interrupted" if file.state == "interrupted" else ""
    elsewhere = _imported(file)
    found = [
        (group, group.verdicts(stopped.get(group.number, ended))) for group in groups if group.number not in elsewhere
    ]
    every = [cell for _, cells in found for cell in cells]
    for number, benchmarks in elsewhere.items():
        every += imported.verdicts(number, benchmarks, evidence.cells, confidence)
    verdict = RunVerdict(
        run=_run_facts(file, evidence),
        cells=every,
        best=[best for group, cells in found if (best := group.best(cells))],
        warnings=remarks.of_run(file.state, evidence, [(group.arms(SPECULATIVE), cells) for group, cells in found]),
        certificate=_certificate(every),
        ablations=ablations(every),
    )
    return Judged(verdict, tuple(group for group, _ in found))


def _imported(file: RunFile) -> dict[int, imported.Benchmarks]:
    """What others measured, by group. Raises RunFileError, in one line, for what cannot be read."""
    try:
        return imported.read(file.manifest)
    except ValueError as error:
        raise RunFileError(f"{file.path}: what was imported cannot be read: {error}") from error


def _certificate(cells: list[CellVerdict]) -> RunCertificate:
    """The worst of all cells that were measured and should be lossless."""
    measured = [cell for cell in cells if cell.status in ("ok", "unverified", "invalid")]
    greedy = [
        cell.equivalence.verdict if cell.equivalence else "untested" for cell in measured if cell.temperature == 0
    ]
    drawn = [cell.sampling.verdict if cell.sampling else "untested" for cell in measured if cell.temperature > 0]
    blamed = [
        (cell, found)
        for cell in measured
        if (found := cell.equivalence or cell.sampling) and found.verdict not in ("identical", "not distinguishable")
    ]
    blamed.sort(key=lambda each: (*EQUIVALENCE_ORDER, *SAMPLING_ORDER).index(each[1].verdict))
    return RunCertificate(
        equivalence=min(greedy, key=EQUIVALENCE_ORDER.index, default=None),
        sampling=min(drawn, key=SAMPLING_ORDER.index, default=None),
        reasons=tuple(f"{remarks.name_of(cell)}: {found.verdict}: {found.reason}" for cell, found in blamed),
    )


def _run_facts(file: RunFile, evidence: Evidence) -> dict[str, Any]:
    """The manifest, the runtimes' versions as stated, and how many trials there were; warm-ups are counted apart."""
    phase = evidence.trials.phase
    measured = np.isin(phase, MEASURED)
    stated = [(launch.backend, launch.facts.versions) for launch in evidence.launches.values() if launch.facts]
    return {
        **{key: value for key, value in file.manifest.items() if key != "writer"},
        "file": str(file.path),
        "state": file.state,
        "versions": {backend: dict(versions) for backend, versions in stated},
        "trials": int(measured.sum()),
        "trials_failed": sum(bool(measured[trial]) for trial in evidence.trials.failures),
        "trials_flagged": sum(bool(measured[trial]) for trial in evidence.trials.flags),
        "warm_ups": int((phase == WARMUP).sum()),
        "scorings": int((phase == CERTIFICATE).sum()),
    }
