"""Workers that crash, hang, run out of memory or fail: stored, and the run goes on."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.experiment import measure
from harness.sweep import Sweep
from results.records import Trial
from results.store import RunFile

Make = Callable[..., Sweep]


def run(bench: Path, asked: Sweep) -> RunFile:
    return RunFile.open(measure(asked, bench / "run.sqlite").path)


def failures(file: RunFile) -> list[Trial]:
    return [trial for _, trial in file.trials() if trial.failure]


def test_a_worker_killed_in_the_middle_of_a_call_is_a_stored_crash_and_the_block_goes_on(
    bench: Path, sweep: Make
) -> None:
    options = {"script": [{"draft": 2, "nth": 6, "do": "kill", "once": str(bench / "once")}]}
    with run(bench, sweep(options)) as file:
        (trial,) = failures(file)
        assert trial.failure is not None
        assert trial.failure.kind == "crash"
        assert "died of signal 9 (Killed" in trial.failure.message
        assert len(file.launches()) == 2
        assert len({t.launch_id for _, t in file.trials(phase="headline")}) == 2
        assert len(list(file.trials(phase="headline"))) == 4 * 3 * 2
        assert file.state == "finished"


def test_a_crash_brings_the_end_of_the_log(bench: Path, sweep: Make) -> None:
    options = {"script": [{"draft": 1, "nth": 6, "do": "crash", "once": str(bench / "once")}]}
    with run(bench, sweep(options)) as file:
        (trial,) = failures(file)
        assert trial.failure is not None
        assert "about to crash" in trial.failure.detail
        assert "signal 6" in trial.failure.message
        assert all((bench / launch.log).is_file() for launch in file.launches().values())


def test_a_relaunched_engine_is_warmed_up_again(bench: Path, sweep: Make) -> None:
    options = {"script": [{"draft": 0, "nth": 9, "do": "exit", "once": str(bench / "once")}]}
    with run(bench, sweep(options)) as file:
        warm = {(trial.cell_id, trial.launch_id) for _, trial in file.trials(phase="warmup") if not trial.failure}
        assert {(t.cell_id, t.launch_id) for _, t in file.trials(phase="headline") if not t.failure} <= warm


def test_a_hang_is_a_timeout_and_the_whole_process_group_is_killed(bench: Path, sweep: Make) -> None:
    options = {"script": [{"draft": 1, "nth": 6, "do": "hang", "once": str(bench / "once")}]}
    with run(bench, sweep(options, trial_timeout="2s")) as file:
        (trial,) = failures(file)
        assert trial.failure is not None
        assert trial.failure.kind == "timeout"
        assert "within 2 s" in trial.failure.message
        assert trial.wall_ns >= 2e9


def test_an_arm_that_always_kills_its_worker_is_given_up_and_the_others_go_on(bench: Path, sweep: Make) -> None:
    with run(bench, sweep({"script": [{"draft": 2, "do": "crash"}]})) as file:
        cells = file.cells()
        by_arm: dict[Any, Counter[str]] = {}
        for _, trial in file.trials(phase="headline"):
            draft = cells[trial.cell_id].draft
            by_arm.setdefault(draft and draft.length, Counter())[trial.failure.kind if trial.failure else "ok"] += 1
        assert by_arm == {None: Counter(ok=12), 1: Counter(ok=6), 2: Counter(refused=6)}
        assert file.stopped() == {0: "all repeats done"}
        assert len(file.launches()) == 3


def test_an_engine_that_keeps_dying_is_lost_after_a_few_launches(bench: Path, sweep: Make) -> None:
    options = {"script": [{"draft": draft, "do": "kill"} for draft in (1, 2, 3)]}
    with run(bench, sweep(options, draft_lengths=[1, 2, 3])) as file:
        assert len(file.launches()) == 4
        assert file.stopped()[0].startswith("engine lost: scripted: the worker died of signal 9")


def test_an_error_or_a_lack_of_memory_fails_the_call_and_keeps_the_worker(bench: Path, sweep: Make) -> None:
    script = [{"draft": 1, "nth": 6, "do": "error"}, {"draft": 2, "nth": 6, "do": "memory"}]
    with run(bench, sweep({"script": script})) as file:
        seen = {(t.failure.kind, t.failure.message) for t in failures(file) if t.failure}
        assert seen == {("error", "ValueError: no such shape"), ("oom", "MemoryError: 4 GiB wanted")}
        assert all("Traceback" in t.failure.detail for t in failures(file) if t.failure)
        assert len(file.launches()) == 1


def test_an_engine_that_is_lost_inside_a_worker_that_lives_is_launched_again(bench: Path, sweep: Make) -> None:
    options = {"script": [{"draft": 2, "nth": 6, "do": "lost", "once": str(bench / "once")}]}
    with run(bench, sweep(options)) as file:
        (trial,) = failures(file)
        assert trial.failure is not None
        assert trial.failure.kind == "crash"
        assert trial.failure.message == "scripted-server ended by SIGSEGV: its last line: nothing"
        assert "Traceback" in trial.failure.detail
        assert len(file.launches()) == 2
        assert len({t.launch_id for _, t in file.trials(phase="headline")}) == 2


def test_what_a_relaunch_finds_wrong_loses_the_engine_and_not_the_run(bench: Path, sweep: Make) -> None:
    gone = str(bench / "gone")
    options = {"gone": gone, "script": [{"draft": 1, "nth": 6, "do": "kill", "once": gone}]}
    with run(bench, sweep(options)) as file:
        first, second = file.launches().values()
        assert first.failure is None
        assert second.failure is not None
        assert second.failure.message == "no such file: the pair"
        assert file.stopped()[0] == "engine lost: no such file: the pair"
        assert file.state == "finished"


def test_an_engine_that_crashes_at_launch_is_stored_as_such(bench: Path, sweep: Make) -> None:
    with run(bench, sweep({"open": "crash"})) as file:
        (launch,) = file.launches().values()
        assert launch.failure is not None
        assert launch.failure.kind == "crash"
        assert launch.facts is None
        assert list(file.trials()) == []
        assert file.stopped()[0].startswith("engine lost: ")
        assert file.state == "finished"


def test_one_runtime_that_fails_leaves_the_others_alone(bench: Path, sweep: Make) -> None:
    asked = sweep({"open": "crash"}, "launched", "scripted", prompt_tokens=["own"])
    with run(bench, asked) as file:
        assert file.stopped()[0].startswith("engine lost: launched")
        assert file.stopped()[1] == "all repeats done"
        assert len(list(file.trials(phase="headline"))) == 4 * 3 * 2


def test_an_engine_that_cannot_tokenize_is_lost_before_measuring(bench: Path, sweep: Make) -> None:
    with run(bench, sweep({"encode": "error"})) as file:
        assert file.stopped()[0] == "engine lost: ValueError: no such shape"


def test_a_launch_that_hangs_is_a_timeout(bench: Path, sweep: Make) -> None:
    with run(bench, sweep({"open": "hang"}, start_timeout="2s")) as file:
        (launch,) = file.launches().values()
        assert launch.failure is not None
        assert launch.failure.kind == "timeout"
