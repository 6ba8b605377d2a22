"""Provenance and telemetry: what is told about the machine, and what is not."""

import getpass
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from backends import discover
from harness import gpu, provenance, telemetry
from harness.environment import worker_environment
from harness.telemetry import Monitor


def test_provenance_tells_the_machine_as_json() -> None:
    found = json.loads(json.dumps(provenance.collect({"OMP_NUM_THREADS": "1", "HF_TOKEN": "secret"})))
    assert found["cpu"]["threads"] == os.cpu_count()
    assert found["memory"]["total_bytes"] > 0
    assert found["python"]["version"] == platform.python_version()
    assert found["packages"]["mtpbench"]
    assert found["environment"] == {"OMP_NUM_THREADS": "1"}


def test_provenance_tells_not_who_measured() -> None:
    text = json.dumps(provenance.collect({"HF_TOKEN": "secret", "PATH": "/home/ada/bin"}))
    for private in ("secret", "/home/ada", str(Path.home()) + "/", platform.node(), getpass.getuser() + "/"):
        assert private not in text
    assert provenance.without_home(f"--out={Path.home()}/x") == "--out=~/x"


def test_git_state_is_commit_and_whether_anything_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert provenance.collect({})["git"]["folder"] is None  # type: ignore[index,call-overload]
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    clean = provenance.collect({})["git"]["folder"]  # type: ignore[index,call-overload]
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "new").touch()
    assert provenance.collect({})["git"]["folder"]["dirty"] is True  # type: ignore[index,call-overload]


def test_a_machine_without_any_of_linux_files_still_has_a_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_read", lambda path: None)
    monkeypatch.setattr(provenance, "_command", lambda *words: None)
    found = provenance.collect({})
    assert found["cpu"]["flags"] == []  # type: ignore[index,call-overload]
    assert found["limits"] == {"cpus": None, "memory_bytes": None, "cpuset": None}
    assert found["system"]["virtualised"] is None  # type: ignore[index,call-overload]


def test_gpus_come_from_nvidia_smi_where_there_is_no_pynvml(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "NVIDIA H200, 143771, 570.86, 1980\nNVIDIA X, [N/A], 570.86, [N/A]\n"
    monkeypatch.setattr(provenance, "nvml", lambda: None)
    monkeypatch.setattr(provenance, "_command", lambda *words: rows if words[0] == "nvidia-smi" else None)
    first, second = provenance.collect({})["gpus"]  # type: ignore[misc]
    assert first["memory_bytes"] == 143771 << 20  # type: ignore[call-overload,index]
    assert second["sm_mhz_highest"] is None  # type: ignore[call-overload,index]


# ------------------------------------------------------------------------------------------------------- telemetry


def test_our_own_cpu_time_is_not_foreign(monkeypatch: pytest.MonkeyPatch) -> None:
    # A machine on which nothing runs but this test, whoever else is at work on the real one.
    monkeypatch.setattr(psutil, "cpu_times", lambda: SimpleNamespace(user=time.process_time(), system=0.0))
    monitor = Monitor(os.getpid(), "cpu")
    monitor.begin()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    reading = monitor.end()
    assert reading.values["foreign_cores"] < 0.1
    assert reading.flags == ()


def test_another_process_at_work_is_foreign_load() -> None:
    monitor = Monitor(os.getpid(), "cpu")
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.3)
        monitor.begin()
        time.sleep(0.5)
        reading = monitor.end()
    finally:
        other.kill()
        other.wait()
    assert reading.values["foreign_cores"] > telemetry.FOREIGN_CORES
    assert "foreign-load" in reading.flags


def test_a_worker_that_dies_during_a_call_still_gives_a_reading() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    monitor = Monitor(child.pid, None)
    monitor.begin()
    child.kill()
    child.wait()
    assert monitor.end().values["wall_s"] > 0


def test_reading_costs_well_below_a_millisecond() -> None:
    monitor = Monitor(os.getpid(), "cpu")
    begun = time.process_time()
    for _ in range(100):
        monitor.begin()
        monitor.end()
    assert (time.process_time() - begun) / 100 < 1e-3


def test_time_stolen_by_the_hypervisor_and_a_cpu_quota_are_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = Monitor(os.getpid(), "cpu")
    counts = iter(
        [
            telemetry._Counters(at=0.0, busy=0.0, own=0.0, stolen=0.0, throttled=0.0, joules=None),
            telemetry._Counters(at=1.0, busy=1.0, own=0.9, stolen=0.2, throttled=0.05, joules=None),
        ]
    )
    monkeypatch.setattr(monitor, "_count", lambda: next(counts))
    monitor.begin()
    reading = monitor.end()
    assert reading.flags == ("steal", "throttled")
    assert reading.values["stolen_cores"] == pytest.approx(0.2)


def test_a_clock_that_leaves_its_median_is_flagged() -> None:
    monitor = Monitor(os.getpid(), "cpu")
    changed = [monitor._changed("cpu_mhz", mhz) for mhz in (3000, 3010, 2990, 3000, 2000, 3000)]
    assert changed == [False, False, False, False, True, False]


class FakeNvml(SimpleNamespace):
    """The calls of pynvml that are used."""

    class NVMLError(Exception):
        pass

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return f"board {index}"

    def nvmlDeviceGetHandleByUUID(self, name: str) -> str:
        return f"board {name}"

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        return 1980

    def nvmlDeviceGetTemperature(self, handle: str, kind: int) -> int:
        return 61

    def nvmlDeviceGetPowerUsage(self, handle: str) -> int:
        raise self.NVMLError

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        raise self.NVMLError

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: str) -> int:
        return 0x40


def test_a_gpu_is_found_behind_the_visible_devices_and_its_throttling_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "nvml", FakeNvml)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,GPU-abc")
    first, second = gpu.Gpu.of_device("cuda:0 NVIDIA H200"), gpu.Gpu.of_device("cuda:1")
    assert first is not None
    assert second is not None
    assert (first.handle, second.handle) == ("board 3", "board GPU-abc")
    assert gpu.Gpu.of_device("cpu") is None
    state = first.state()
    assert state.throttled
    assert state.values == {"gpu_sm_mhz": 1980.0, "gpu_celsius": 61.0, "gpu_clock_reasons": 64.0}


@pytest.mark.parametrize(("wall", "watts"), [(2.0, 350.0), (0.2, 90.0)])
def test_power_is_the_energy_that_the_board_counted_of_calls_long_enough(
    wall: float, watts: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeNvml, "nvmlDeviceGetPowerUsage", lambda *_: 90_000)
    monkeypatch.setattr(FakeNvml, "nvmlDeviceGetTotalEnergyConsumption", lambda *_: 5_700_000)
    monkeypatch.setattr(gpu, "nvml", FakeNvml)
    monitor = Monitor(os.getpid(), "cuda:0 NVIDIA H200")
    after = replace(monitor._count(), at=10.0 + wall)
    assert after.joules == 5_700.0
    counts = iter((replace(after, at=10.0, joules=5_000.0), after))
    monkeypatch.setattr(monitor, "_count", lambda: next(counts))
    monitor.begin()
    assert monitor.end().values["gpu_watts"] == pytest.approx(watts)


def test_an_api_key_reaches_only_the_worker_that_needs_it() -> None:
    outer = {"OPENAI_API_KEY": "sk-1", "MY_KEY": "sk-2", "PATH": "/bin"}
    openai, vllm = discover.load("openai"), discover.load("vllm")
    assert "OPENAI_API_KEY" not in worker_environment(outer, None, vllm.secrets({}))
    seen = worker_environment(outer, None, openai.secrets({}))
    assert (seen["OPENAI_API_KEY"], "MY_KEY" in seen) == ("sk-1", False)
    seen = worker_environment(outer, None, openai.secrets({"key_env": "MY_KEY"}))
    assert (seen["MY_KEY"], "OPENAI_API_KEY" in seen) == ("sk-2", False)
