"""What was scored in a run over the scripted runtimes that have a target, and what was made of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from results.certificate import Equivalence, SamplingCertificate
from results.judge import judge
from results.records import CERTIFICATE, MEASURED, Role, Scoring, Trial
from results.runfile import RunFile
from results.verdicts import RunVerdict


@dataclass(frozen=True)
class Certified:
    """A run file, and the log of the scoring calls that led to it."""

    path: Path
    log: Path

    @property
    def calls(self) -> list[dict[str, Any]]:
        """One per scoring call that reached the runtime."""
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    @cached_property
    def verdict(self) -> RunVerdict:
        with RunFile.open(self.path) as file:
            return judge(file)

    @property
    def greedy(self) -> list[Equivalence]:
        """Of every speculative cell."""
        return [cell.equivalence for cell in self.verdict.cells if cell.equivalence]

    @property
    def sampled(self) -> list[SamplingCertificate]:
        """Of every speculative cell."""
        return [cell.sampling for cell in self.verdict.cells if cell.sampling]

    @cached_property
    def certificates(self) -> list[Trial]:
        """The trials that scored, in their order."""
        with RunFile.open(self.path) as file:
            return [trial for _, trial in file.trials(phase=CERTIFICATE)]

    @cached_property
    def sequences(self) -> list[tuple[int, tuple[int, ...]]]:
        """(prompt id, tokens) of everything that measured calls generated."""
        with RunFile.open(self.path) as file:
            measured = [trial_id for trial_id, trial in file.trials() if trial.phase in MEASURED]
            return [(prompt, seen.token_ids or ()) for i in measured for prompt, seen in file.generations(i)]

    @cached_property
    def scorings(self) -> list[tuple[int, Role, Scoring]]:
        """(prompt id, role of the arm, what was stored), in the order it was stored."""
        with RunFile.open(self.path) as file:
            cells = file.cells()
            generated = {
                i: (prompt, cells[cell].role)
                for i, prompt, cell in file.query(
                    "SELECT generation.id, prompt_id, cell_id FROM generation JOIN trial ON trial.id = trial_id"
                )
            }
            order = [i for (i,) in file.query("SELECT DISTINCT generation_id FROM score ORDER BY id")]
            return [(*generated[i], scoring) for i in order for scoring in file.scorings(i)]

    @property
    def forced(self) -> list[tuple[int, Role]]:
        """(prompt id, role of the arm) of every output that was scored in one pass."""
        return [(prompt, role) for prompt, role, scoring in self.scorings if scoring.kind == "prefill"]

    @property
    def replayed(self) -> Sequence[int]:
        """Positions that the target was asked again about."""
        return [scoring.scores[0].position for _, _, scoring in self.scorings if scoring.kind == "replay"]
