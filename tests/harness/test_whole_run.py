"""A run from beginning to end, with a real worker around a scripted runtime."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.experiment import dry_run, measure
from harness.observe import Silent
from harness.sweep import Sweep
from results.errors import UsageError
from results.judge import judge
from results.records import Cell, Failure, SessionFacts, Trial
from results.store import RunFile

Make = Callable[..., Sweep]


def headline(file: RunFile) -> list[Trial]:
    return [trial for _, trial in file.trials(phase="headline")]


def test_every_arm_meets_every_unit_twice_and_once_with_instruments(bench: Path, sweep: Make) -> None:
    measured = measure(sweep(prompt_tokens=[16, 32]), bench / "out")
    assert measured.state == "finished"
    with RunFile.open(measured.path) as file:
        cells = file.cells()
        roles = Counter(cell.role for cell in cells.values())
        assert roles == {"plain": 2, "control": 2, "speculative": 4, "batch-shape": 2}
        assert {(cell.device, cell.dtype) for cell in cells.values()} == {("cpu", "float32")}
        visits = Counter((t.cell_id, t.unit, t.repeat, t.half) for t in headline(file))
        assert len(visits) == 8 * 3 * 2
        assert set(visits.values()) == {1}
        instrumented = Counter(cells[t.cell_id].role for _, t in file.trials(phase="instrumented"))
        assert instrumented == {"plain": 6, "speculative": 12, "batch-shape": 6}
        assert file.stopped() == {0: "all repeats done", 1: "all repeats done"}
        assert {len(prompt.token_ids or ()) for prompt in file.prompts().values()} == {16, 32}


def test_blocks_of_all_groups_alternate_and_are_mirrored(bench: Path, sweep: Make) -> None:
    with RunFile.open(measure(sweep(prompt_tokens=[16, 32]), bench / "out").path) as file:
        cells = file.cells()
        blocks: dict[tuple[int, int], list[Trial]] = {}
        for trial in headline(file):
            blocks.setdefault((trial.unit, cells[trial.cell_id].group), []).append(trial)
        assert list(blocks) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
        for trials in blocks.values():
            order = [trial.cell_id for trial in trials]
            assert order == order[::-1]
            assert [trial.half for trial in trials] == [0] * 4 + [1] * 4
        assert len({tuple(t.cell_id for t in trials) for trials in blocks.values()}) > 2


def test_generations_belong_to_the_prompts_of_their_unit(bench: Path, sweep: Make) -> None:
    with RunFile.open(measure(sweep(batch_sizes=[2]), bench / "out").path) as file:
        seen: dict[int, set[tuple[int, ...]]] = {}
        for trial_id, trial in file.trials(phase="headline"):
            seen.setdefault(trial.unit, set()).add(tuple(prompt for prompt, _ in file.generations(trial_id)))
        assert seen == {0: {(1, 2)}, 1: {(3, 4)}, 2: {(5, 6)}}


def test_only_the_instrumented_pass_carries_instruments(bench: Path, sweep: Make) -> None:
    with RunFile.open(measure(sweep(), bench / "out").path) as file:
        cells = file.cells()
        for trial_id, trial in file.trials():
            for _, seen in file.generations(trial_id):
                instruments = seen.rounds is not None or seen.steps is not None
                assert instruments == (trial.phase == "instrumented" and cells[trial.cell_id].role != "batch-shape")


def test_the_batch_shape_control_holds_the_unit_and_the_next_one(bench: Path, sweep: Make) -> None:
    with RunFile.open(measure(sweep(), bench / "out").path) as file:
        control = next(cell_id for cell_id, cell in file.cells().items() if cell.role == "batch-shape")
        rows = {t.unit: [prompt for prompt, _ in file.generations(i)] for i, t in file.trials(cell_id=control)}
    assert rows == {0: [1, 2], 1: [2, 3], 2: [3, 1]}


def test_warm_up_is_stored_and_flagged_for_every_arm(bench: Path, sweep: Make) -> None:
    with RunFile.open(measure(sweep({"sleep_s": 0.02}), bench / "out").path) as file:
        calls = Counter(trial.cell_id for _, trial in file.trials(phase="warmup"))
        assert calls.keys() == {i for i, cell in file.cells().items() if cell.role != "batch-shape"}
        assert all(2 <= number <= 5 for number in calls.values())
        first = [trial.phase for _, trial in file.trials()]
        assert first.index("headline") == sum(calls.values())


def test_the_manifest_tells_what_was_asked_and_where(bench: Path, sweep: Make) -> None:
    asked = sweep(threads=1)
    with RunFile.open(measure(asked, bench / "out").path) as file:
        manifest = file.manifest
        assert manifest["sweep"] == asked.describe()
        assert manifest["state"] == "finished"
        assert isinstance(manifest["provenance"], dict)
        assert manifest["provenance"]["environment"]["OMP_NUM_THREADS"] == "1"
        assert manifest["workload"]["categories"] == {"a": 15, "b": 15}


def test_the_launch_names_its_log_which_stays_beside_the_run_file(bench: Path, sweep: Make) -> None:
    path = measure(sweep(), bench / "run.sqlite").path
    with RunFile.open(path) as file:
        (launch,) = file.launches().values()
    assert launch.log == "run.logs/01-scripted.log"
    assert (bench / launch.log).is_file()
    assert launch.facts is not None
    assert launch.facts.versions == {"scripted": "1"}


def test_telemetry_is_stored_with_every_trial(bench: Path, sweep: Make) -> None:
    with RunFile.open(measure(sweep(), bench / "out").path) as file:
        for trial_id, _ in file.trials():
            assert {"wall_s", "foreign_cores"} <= file.telemetry(trial_id).keys()


def test_run_files_go_to_runs_under_time_and_name(bench: Path, sweep: Make) -> None:
    path = measure(sweep()).path
    assert path.parent == Path("runs")
    assert path.name.endswith("Z-test.sqlite")


def test_impossible_cells_are_put_aside_with_the_reason(bench: Path, sweep: Make) -> None:
    plan = dry_run(sweep(batch_sizes=[1, 4, 16], methods=["mtp", "prompt-lookup"]))
    reasons = {(c.batch_size, c.role, c.draft.method if c.draft else ""): c.skipped for c in plan.skipped}
    assert reasons[4, "speculative", "mtp"] == "scripted drafts at batch sizes up to 2, not 4"
    assert reasons[4, "plain", ""] == "no speculative arm of this group can run"
    assert reasons[16, "plain", ""] == "scripted decodes at batch sizes up to 8, not 16"
    assert [group.cell.batch_size for group in plan.groups] == [1]
    with RunFile.open(measure(sweep(batch_sizes=[1, 4]), bench / "out").path) as file:
        assert sum(cell.skipped is not None for cell in file.cells().values()) == 4


def test_engines_that_are_fixed_at_launch_are_up_together_one_per_arm(bench: Path, sweep: Make) -> None:
    asked = sweep(None, "launched", prompt_tokens=["own"])
    plan = dry_run(asked)
    assert [engine.config.draft and engine.config.draft.length for engine in plan.engines] == [None, 1, 2]
    with RunFile.open(measure(asked, bench / "out").path) as file:
        launches = {(trial.cell_id, trial.launch_id) for trial in headline(file)}
        assert len(launches) == 4
        assert len(file.launches()) == 3
        assert all(prompt.token_ids is None for prompt in file.prompts().values())


def test_engines_are_launched_anew_as_often_as_asked(bench: Path, sweep: Make) -> None:
    with RunFile.open(measure(sweep(launches=2), bench / "out").path) as file:
        assert len(file.launches()) == 2
        assert {(t.launch_id, t.repeat) for t in headline(file)} == {(1, 0), (2, 1)}
        assert {t.launch_id for _, t in file.trials(phase="instrumented")} == {1}
        assert {t.launch_id for _, t in file.trials(phase="warmup")} == {1, 2}
        assert {cell.speedup.basis for cell in judge(file).cells if cell.speedup} == {"over launches"}


def test_pairs_are_measured_one_after_the_other_so_that_one_engine_is_up_at_a_time(bench: Path, sweep: Make) -> None:
    shutil.copytree(bench / "pair", bench / "other")
    asked = sweep(pairs=[f"{bench}/pair:{bench}/pair", f"{bench}/other:{bench}/other"])
    notes = Notes()
    with RunFile.open(measure(asked, bench / "out", notes).path) as file:
        cells = file.cells()
        groups = [cells[trial.cell_id].group for trial in headline(file)]
        assert groups == sorted(groups)
        assert file.stopped() == {0: "all repeats done", 1: "all repeats done"}
    assert [event for event in notes.events if event in ("launched", "block 3")] == [
        *("launched", "launched", "block 3", "launched", "block 3"),
    ]


def test_an_arm_whose_engine_does_not_come_up_is_refused_and_the_others_go_on(bench: Path, sweep: Make) -> None:
    asked = sweep({"open_draft": 1}, "launched", prompt_tokens=["own"])
    with RunFile.open(measure(asked, bench / "out").path) as file:
        cells = file.cells()
        failed = {cells[t.cell_id].draft and cells[t.cell_id].draft.length for t in headline(file) if t.failure}
        assert failed == {1}
        assert file.stopped() == {0: "all repeats done"}


def test_sampled_calls_all_have_seeds_of_their_own(bench: Path, sweep: Make) -> None:
    with RunFile.open(measure(sweep(temperature=[0.0, 0.8], top_k=5), bench / "out").path) as file:
        seeds: dict[float, list[object]] = {0.0: [], 0.8: []}
        for cell_id, cell in file.cells().items():
            assert (cell.sampling.top_k, cell.sampling.seed) == ((5, 0) if cell.sampling.temperature else (None, None))
            for trial_id, _ in file.trials(cell_id=cell_id, phase="headline"):
                seeds[cell.sampling.temperature] += [g.statement["seed"] for _, g in file.generations(trial_id)]
    assert set(seeds[0.0]) == {None}
    assert len(set(seeds[0.8])) == len(seeds[0.8]) == 4 * 3 * 2


class Notes(Silent):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.left: list[float | None] = []

    def launched(self, backend: str, pair: str, facts: SessionFacts, seconds: float) -> None:
        self.events.append("launched")

    def launch_failed(self, backend: str, pair: str, failure: Failure) -> None:
        self.events.append(f"failed: {failure.kind}")

    def warming(self, cell: Cell) -> None:
        self.events.append("warming")

    def trial_done(self, cell: Cell, trial: Trial) -> None:
        self.events.append("trial")

    def block_done(self, cell: Cell, units: int, half_width: float | None, seconds_left: float | None) -> None:
        self.events.append(f"block {units}")
        self.left.append(seconds_left)

    def group_stopped(self, cell: Cell, why: str) -> None:
        self.events.append(f"stopped: {why}")


def test_observers_hear_how_far_it_is_and_how_long_it_takes(bench: Path, sweep: Make) -> None:
    notes = Notes()
    measure(sweep({"sleep_s": 0.01}), bench / "out", notes)
    assert notes.events[0] == "launched"
    assert [event for event in notes.events if event.startswith("block")] == ["block 1", "block 2", "block 3"]
    assert notes.events[-1] == "stopped: all repeats done"
    assert notes.left[0] is not None
    assert notes.left[0] > notes.left[1] > notes.left[2] == 0


@pytest.mark.parametrize(
    ("options", "overrides", "message"),
    [
        ({"open": "usage"}, {}, "the drafter does not fit: hidden size 8, not 16"),
        ({"context": 20}, {}, "prompts of 16 tokens do not fit"),
        ({"context": 10}, {}, "-n 12: too long, the context of"),
        ({}, {"prompts": 40}, "holds 30 prompts, not 40"),
        ({"script": [{"draft": 0, "do": "usage"}]}, {}, "hidden size 8"),
    ],
)
def test_wrong_input_leaves_no_run_file_behind(
    bench: Path, sweep: Make, options: dict[str, object], overrides: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        measure(sweep(options, **overrides), bench / "out" / "run.sqlite")
    assert "\n" not in str(caught.value)
    assert list((bench / "out").iterdir()) == []


def test_a_runtime_that_is_not_there_is_named_with_the_way_to_get_it(bench: Path, sweep: Make) -> None:
    with pytest.raises(UsageError, match="absent cannot be used here: absent is not installed; pip install absent"):
        measure(sweep(None, "absent"), bench / "out")


def test_an_output_that_cannot_be_written_is_refused_before_anything_runs(bench: Path, sweep: Make) -> None:
    (bench / "file").touch()
    with pytest.raises(UsageError, match="--out file/deep: cannot make the folder"):
        measure(sweep(), Path("file/deep"))
    with pytest.raises(UsageError, match="exists already"):
        measure(sweep(), _existing(bench / "run.sqlite"))


def _existing(path: Path) -> Path:
    path.touch()
    return path


def test_nothing_measurable_is_one_line(bench: Path, sweep: Make) -> None:
    with pytest.raises(UsageError, match="nothing can be measured: scripted drafts at batch sizes up to 2, not 4"):
        dry_run(sweep(batch_sizes=[4]))
    with pytest.raises(UsageError, match="unknown draft method 'mpt': did you mean mtp"):
        dry_run(sweep(methods=["mpt"]))
    with pytest.raises(UsageError, match="unknown backend 'scriptd'; did you mean scripted"):
        dry_run(sweep(None, "scriptd"))
