"""The run file as the runner sees it: what is stored as it happens, and what an earlier session has left.

A run is resumed under the same plan, with the same prompts and the same model files, or not at all.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from harness import order
from harness.plan import Group
from harness.provenance import without_home
from results.codec import unpack_ids
from results.errors import UsageError
from results.evidence import Evidence
from results.records import (
    HEADLINE,
    MEASURED,
    Cell,
    Failure,
    Generation,
    Launch,
    Prompt,
    Scoring,
    SessionFacts,
    Trial,
)
from results.speedup import Visit
from results.store import RunWriter

_Step = tuple[int, int, str]
"""(cell id, half, phase): one call of a block."""


@dataclass(frozen=True, slots=True)
class Output:
    """What a measured call gave for one prompt, where the runtime gives ids."""

    generation_id: int
    cell_id: int
    prompt_id: int
    prompt: Prompt
    token_ids: tuple[int, ...]
    scored: bool
    """Teacher-forced already."""
    replayed: frozenset[int]
    """Positions that the target was asked again about."""
    refereed: bool
    """Teacher-forced by the reference runtime already."""


class Journal:
    """Adds records, each once, and knows which blocks are complete."""

    def __init__(self, writer: RunWriter) -> None:
        """Takes in what the file holds already; a new file holds nothing."""
        self._writer = writer
        self.path = writer.path
        file = writer.file
        self._cells = {_asked(cell): (cell_id, cell) for cell_id, cell in file.cells().items()}
        self._prompts = {prompt: prompt_id for prompt_id, prompt in file.prompts().items()}
        self._prompts_by_id = file.prompts()
        self._launches = list(file.launches().values())
        self._steps: dict[tuple[int, int, int], list[_Step]] = defaultdict(list)
        groups = {cell_id: cell.group for cell_id, cell in file.cells().items()}
        for _, trial in file.trials():
            if trial.phase in MEASURED:
                block = (groups[trial.cell_id], trial.unit, trial.repeat)
                self._steps[block].append((trial.cell_id, trial.half, trial.phase))
        self.resumed = bool(self._steps)
        """An earlier session has measured something."""
        self.trials = 0
        """Calls of blocks stored by this session."""

    def cell(self, cell: Cell, facts: SessionFacts | None = None) -> tuple[int, Cell]:
        """The cell's id and the cell as stored: with the dtype and device that really compute, once known."""
        key = _asked(cell)
        known = replace(cell, dtype=facts.dtype, device=facts.device) if facts else cell
        if key not in self._cells:
            if self.resumed:
                raise UsageError(f"{self.path}: was planned differently; start a new run instead of --resume")
            self._cells[key] = (self._writer.add_cell(known), known)
        stored = self._cells[key][1]
        if facts and (
            _moved(stored.dtype, cell.dtype, facts.dtype) or _moved(stored.device, cell.device, facts.device)
        ):
            raise UsageError(
                f"{self.path}: was measured in {stored.dtype} on {stored.device}, and here it would be {facts.dtype} "
                f"on {facts.device}; start a new run instead of --resume"
            )
        return self._cells[key]

    def prompt(self, prompt: Prompt) -> int:
        """The prompt's id."""
        if prompt not in self._prompts:
            if self.resumed:
                raise UsageError(
                    f"{self.path}: was measured with other prompts than {prompt.key} is now (workload or tokenizer "
                    "changed); start a new run instead of --resume"
                )
            self._prompts[prompt] = self._writer.add_prompt(prompt)
            self._prompts_by_id[self._prompts[prompt]] = prompt
        return self._prompts[prompt]

    def launch(self, launch: Launch) -> int:
        """Stores a launch. Raises UsageError where the same engine had other model files or packages before."""
        launch = replace(launch, failure=_scrubbed(launch.failure))
        for earlier in self._launches:
            same = (earlier.backend, earlier.pair, earlier.engine) == (launch.backend, launch.pair, launch.engine)
            if not (same and earlier.facts and launch.facts):
                continue
            for what, then, now in (
                ("model files", earlier.facts.files, launch.facts.files),
                ("packages", earlier.facts.versions, launch.facts.versions),
            ):
                if then != now:
                    raise UsageError(
                        f"{self.path}: the {what} of {launch.backend} with {launch.pair} are not those that were "
                        "measured; start a new run instead of --resume"
                    )
        self._launches.append(launch)
        return self._writer.add_launch(launch)

    def trial(
        self, trial: Trial, generations: Sequence[tuple[int, Generation]], telemetry: Mapping[str, float]
    ) -> None:
        """Stores a call; it is safe on disk when this returns."""
        self._writer.add_trial(replace(trial, failure=_scrubbed(trial.failure)), generations, telemetry)
        self.trials += trial.phase in MEASURED

    def outputs(self, cell_ids: Sequence[int], unit: int) -> list[Output]:
        """What the measured calls of these cells on this unit gave, in the order they ran; those with ids."""
        cells, phases = (", ".join("?" * len(values)) for values in (cell_ids, MEASURED))
        found = self._writer.file.query(
            "SELECT generation.id, cell_id, prompt_id, token_ids, EXISTS (SELECT 1 FROM score WHERE kind = 'prefill' "
            "AND generation_id = generation.id), (SELECT group_concat(start) FROM score WHERE kind = 'replay' "
            "AND generation_id = generation.id), EXISTS (SELECT 1 FROM score WHERE kind = 'reference' "
            "AND generation_id = generation.id) FROM trial JOIN generation ON generation.trial_id = trial.id "
            f"WHERE cell_id IN ({cells}) AND phase IN ({phases}) AND unit = ? AND failure_kind IS NULL "
            "AND token_ids IS NOT NULL AND n_tokens > 0 ORDER BY generation.id",
            (*cell_ids, *MEASURED, unit),
        )
        return [
            Output(
                *(generation, cell, prompt, self._prompts_by_id[prompt], unpack_ids(ids)),
                scored=bool(scored),
                replayed=frozenset(map(int, replayed.split(",") if replayed else ())),
                refereed=bool(refereed),
            )
            for generation, cell, prompt, ids, scored, replayed, refereed in found
        ]

    def scorings(self, trial: Trial, scorings: Sequence[Scoring]) -> None:
        """Stores a call that scored outputs; it is safe on disk when this returns."""
        self._writer.add_scorings(replace(trial, failure=_scrubbed(trial.failure)), scorings)

    def stopped(self, group: Group, why: str) -> None:
        """Stores why measuring a group ended."""
        self._writer.set_stopped(group.number, why)

    def has_block(self, seed: int, group: Group, unit: int, repeat: int) -> bool:
        """Whether an earlier session completed this block: its last calls are the whole block, in order."""
        steps = self._steps.get((group.number, unit, repeat), [])
        calls = order.block(seed, group, unit, repeat)
        return steps[-len(calls) :] == [(self.cell(c.arm.cell)[0], c.half, c.phase) for c in calls]

    def calls_done(self, seed: int, groups: Sequence[Group]) -> int:
        """Calls of the blocks that earlier sessions completed."""
        by_number = {group.number: group for group in groups}
        return sum(
            by_number[number].calls(first_visit=repeat == 0)
            for number, unit, repeat in self._steps
            if number in by_number and self.has_block(seed, by_number[number], unit, repeat)
        )

    def visits(self) -> Iterator[tuple[int, Visit]]:
        """(cell id, headline visit) of every call of earlier sessions that gave a timing."""
        if not self.resumed:
            return
        evidence = Evidence.of(self._writer.file)
        trials = evidence.trials
        for index, timing in enumerate(evidence.timings):
            if timing is not None and trials.phase[index] == HEADLINE:
                place = (trials.unit, trials.repeat, trials.half, trials.launch)
                unit, repeat, half, launch = (int(column[index]) for column in place)
                yield int(trials.cell[index]), Visit(unit, repeat, half, launch, timing)


def _scrubbed(failure: Failure | None) -> Failure | None:
    """A failure whose texts (tracebacks, the runtime's log) do not tell whose machine it was."""
    if failure is None:
        return None
    return Failure(failure.kind, without_home(failure.message), without_home(failure.detail))


def _asked(cell: Cell) -> Cell:
    """The cell without what is only known once its engine is up."""
    return replace(cell, dtype="", device="")


def _moved(stored: str, asked: str, now: str) -> bool:
    """What was measured is neither what is there now, nor (where the engine never came up) still as it was asked."""
    return stored not in (asked, now)
