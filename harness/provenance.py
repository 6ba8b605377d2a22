"""Where a run was measured: machine, system, software, settings; as JSON, for the manifest.

Nothing here tells who measured: no user or host name (only a hash, to tell machines apart), no home folder, no
environment beyond the thread settings. What cannot be read is None.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import psutil

from harness.gpu import nvml
from results.records import Json

_PACKAGES = ("mtpbench", "numpy", "psutil", "pydantic")
"""Of the harness; a worker states the versions of its runtime in `SessionFacts`."""
_CPU_FLAGS = re.compile(r"^(avx.*|amx.*|fma|f16c|vnni|sse4_2|asimd.*|neon|sve.*|sme.*|i8mm|bf16|hypervisor|sha_ni)$")
_SETTINGS = re.compile(r"^(OMP|GOMP|KMP|MKL|OPENBLAS|VECLIB|NUMEXPR|RAYON|TOKENIZERS)_|^CUDA_VISIBLE_DEVICES$")
_COMMAND_S = 5.0


def collect(worker_environment: Mapping[str, str]) -> dict[str, Json]:
    """Everything that is known about this machine now. Takes a fraction of a second, and never raises.

    worker_environment: what the workers will see; its thread settings are kept.
    """
    return {
        "cpu": _cpu(),
        "memory": _memory(),
        "gpus": _gpus(),
        "system": _system(),
        "limits": _limits(),
        "python": {"version": platform.python_version(), "implementation": platform.python_implementation()},
        "packages": {name: _version(name) for name in _PACKAGES},
        "git": {"project": _git(Path(__file__).parent), "folder": _git(Path.cwd())},
        "environment": {name: value for name, value in sorted(worker_environment.items()) if _SETTINGS.search(name)},
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "uptime_s": round(time.time() - psutil.boot_time()),
        "machine": machine(),
    }


def command_line() -> list[Json]:
    """As it was typed, but for where the program and the home folder lie."""
    return [Path(sys.argv[0]).name, *map(without_home, sys.argv[1:])]


def without_home(text: str) -> str:
    """`text` with the home folder written as ~, wherever it stands as a whole path or the start of one."""
    home = str(Path.home())
    return re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w.-])", "~", text) if len(home) > 1 else text


def _cpu() -> dict[str, Json]:
    info = _read("/proc/cpuinfo") or ""
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info.splitlines())}
    model = fields.get("model name") or fields.get("Model") or _command("sysctl", "-n", "machdep.cpu.brand_string")
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    policy = Path("/sys/devices/system/cpu/cpu0/cpufreq")
    return {
        "model": model or platform.processor() or None,
        "architecture": platform.machine(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "flags": [*sorted(flag for flag in flags if _CPU_FLAGS.match(flag))],
        "mhz_now": _mhz(),
        "mhz_highest": _thousandth(_read(policy / "cpuinfo_max_freq")),
        "governor": _read(policy / "scaling_governor"),
        "smt": {"1": True, "0": False}.get(_read("/sys/devices/system/cpu/smt/active") or ""),
        "numa_nodes": len(list(Path("/sys/devices/system/node").glob("node[0-9]*"))) or None,
    }


def _mhz() -> float | None:
    # psutil raises where the system shows no clock, and returns None on some machines.
    with suppress(NotImplementedError, OSError, AttributeError):
        clock = psutil.cpu_freq()
        return round(clock.current, 1) if clock is not None and clock.current else None
    return None


def _memory() -> dict[str, Json]:
    memory = psutil.virtual_memory()
    pages = re.search(r"\[(\w+)\]", _read("/sys/kernel/mm/transparent_hugepage/enabled") or "")
    return {
        "total_bytes": memory.total,
        "available_bytes": memory.available,
        "swap_bytes": psutil.swap_memory().total,
        "transparent_huge_pages": pages[1] if pages else None,
    }


def _gpus() -> list[Json]:
    library = nvml()
    if library is None:
        return _gpus_by_command()
    found: list[Json] = []
    with suppress(library.NVMLError):
        driver = library.nvmlSystemGetDriverVersion()
        for index in range(library.nvmlDeviceGetCount()):
            handle = library.nvmlDeviceGetHandleByIndex(index)
            found.append(
                {
                    "name": library.nvmlDeviceGetName(handle),
                    "memory_bytes": library.nvmlDeviceGetMemoryInfo(handle).total,
                    "driver": driver,
                    "sm_mhz_highest": library.nvmlDeviceGetMaxClockInfo(handle, library.NVML_CLOCK_SM),
                }
            )
    return found


def _gpus_by_command() -> list[Json]:
    """As `nvidia-smi` describes them: it comes with every driver, pynvml does not."""
    fields = ("name", "memory.total", "driver_version", "clocks.max.sm")
    text = _command("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits") or ""
    rows = [[value.strip() for value in line.split(",")] for line in text.splitlines()]
    return [
        {
            "name": name,
            "memory_bytes": int(mib) << 20 if mib.isdecimal() else None,
            "driver": driver,
            "sm_mhz_highest": int(mhz) if mhz.isdecimal() else None,
        }
        for name, mib, driver, mhz in (row for row in rows if len(row) == len(fields))
    ]


def _system() -> dict[str, Json]:
    release = {}
    with suppress(OSError):  # only Linux has the file
        release = platform.freedesktop_os_release()
    return {
        "name": platform.system(),
        "release": platform.release(),
        "distribution": release.get("PRETTY_NAME") or (platform.mac_ver()[0] or None),
        "virtualised": _virtualised(),
        "container": any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")),
    }


def _virtualised() -> bool | None:
    """True inside a virtual machine, as the CPU says; None where it does not."""
    info = _read("/proc/cpuinfo")
    if info is None or "flags" not in info:
        return None
    return re.search(r"\bhypervisor\b", info) is not None


def _limits() -> dict[str, Json]:
    """What the control group (v2) allows; None where nothing is limited or nothing is known."""
    group = re.search(r"^0::(/.*)$", _read("/proc/self/cgroup") or "", re.MULTILINE)
    folder = Path("/sys/fs/cgroup") / (group[1].lstrip("/") if group else "")
    quota, _, period = (_read(folder / "cpu.max") or "max 1").partition(" ")
    memory = _read(folder / "memory.max") or "max"
    return {
        "cpus": int(quota) / int(period) if quota.isdecimal() else None,
        "memory_bytes": int(memory) if memory.isdecimal() else None,
        "cpuset": _read(folder / "cpuset.cpus.effective") or None,
    }


def _git(folder: Path) -> Json:
    """Commit and whether anything differs from it; None outside a repository."""
    commit = _command("git", "-C", str(folder), "rev-parse", "HEAD")
    if commit is None:
        return None
    changes = _command("git", "-C", str(folder), "status", "--porcelain")
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def machine() -> str:
    """The same for every run on one machine, without telling which."""
    name = _read("/etc/machine-id") or platform.node()
    return hashlib.sha256(f"mtpbench/{name}".encode()).hexdigest()[:16]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _read(path: str | Path) -> str | None:
    try:
        return Path(path).read_text("utf-8", "replace").strip()
    except OSError:
        return None


def _thousandth(text: str | None) -> float | None:
    return int(text) / 1000 if text and text.isdecimal() else None


def _command(*words: str) -> str | None:
    """What a command prints; None where it is missing, fails or hangs."""
    program = shutil.which(words[0])
    if program is None:
        return None
    try:
        done = subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=_COMMAND_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
