"""What else the machine did during a call: read just before and just after it, never inside.

Flags are raised at the thresholds below; flagged calls are counted in every verdict and never dropped. What a
machine does not show is absent from the readings, never 0. One reading costs well below a millisecond.
"""

import os
import statistics
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import psutil

from harness.gpu import Gpu

FOREIGN_CORES = 0.25
"""`foreign-load`: other processes used more than this many cores on average…"""
FOREIGN_SHARE = 0.05
"""…and more than this share of all cores…"""
STOLEN_CORES = 0.05
"""`steal`: the hypervisor ran something else for more than this many cores on average…"""
LEAST_S = 0.03
"""…and for at least this long: the system counts CPU time in ticks of 0.01 s."""
CLOCK_CHANGE = 0.10
"""`clock-change`: a clock differs by more than this share from its median over the last calls."""
COUNTED_S = 0.5
"""Calls at least this long take their power from the board's energy counter, which moves about every tenth second."""
THROTTLED_SHARE = 0.01
"""`throttled`: the CPU quota held the worker back for more than this share of the call, or the GPU says so."""
_MEMORY = 15
"""Calls over which the median of a clock is taken."""

_OWN_CGROUP = Path("/sys/fs/cgroup/cpu.stat")


@dataclass(frozen=True, slots=True)
class Reading:
    """The telemetry of one call."""

    values: dict[str, float]
    """Name -> number; units are in the names, `_cores` is CPU time per wall time."""
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Counters:
    """Running totals in seconds; None where the system keeps none."""

    at: float
    busy: float
    own: float
    stolen: float | None
    throttled: float | None
    joules: float | None
    """That the GPU took."""


class Monitor:
    """Watches the machine around the calls of one worker."""

    def __init__(self, pid: int, device: str | None) -> None:
        """pid: the worker, its engine up, so that servers it started are known. device: `SessionFacts.device`."""
        worker = psutil.Process(pid)
        self._worker = worker
        own = [psutil.Process(), worker, *worker.children(recursive=True)]
        self._own = {process: _cpu_s(process) or 0.0 for process in own}
        """Our processes and their CPU time when last seen: that of a process that died no longer grows."""
        self._gpu = Gpu.of_device(device)
        self._clocks: dict[str, deque[float]] = {}
        self._before = self._count()

    def begin(self) -> None:
        """Just before a call."""
        self._before = self._count()

    def end(self) -> Reading:
        """Just after it. A worker that died in between only lessens what counts as its own CPU time."""
        before, after = self._before, self._count()
        wall = max(after.at - before.at, 1e-9)
        foreign = max(0.0, (after.busy - before.busy) - (after.own - before.own))
        values = {"wall_s": wall, "foreign_cores": foreign / wall}
        flags = []
        if foreign >= LEAST_S and foreign / wall > max(FOREIGN_CORES, FOREIGN_SHARE * (os.cpu_count() or 1)):
            flags.append("foreign-load")
        if hasattr(os, "getloadavg"):
            values["load_1m"] = os.getloadavg()[0]
        if before.stolen is not None and after.stolen is not None:
            stolen = after.stolen - before.stolen
            values["stolen_cores"] = stolen / wall
            if stolen >= LEAST_S and stolen / wall > STOLEN_CORES:
                flags.append("steal")
        throttled = False
        if before.throttled is not None and after.throttled is not None:
            values["throttled_share"] = (after.throttled - before.throttled) / wall
            throttled = values["throttled_share"] > THROTTLED_SHARE
        if (mhz := self._cpu_mhz()) is not None:
            values["cpu_mhz"] = mhz
        if self._gpu is not None:
            state = self._gpu.state()
            values |= state.values
            if before.joules is not None and after.joules is not None and wall >= COUNTED_S:
                values["gpu_watts"] = (after.joules - before.joules) / wall
            throttled = throttled or state.throttled
        if throttled:
            flags.append("throttled")
        changed = [self._changed(name, values[name]) for name in ("cpu_mhz", "gpu_sm_mhz") if name in values]
        if any(changed):
            flags.append("clock-change")
        return Reading(values, tuple(flags))

    def _count(self) -> _Counters:
        times = psutil.cpu_times()
        for process, last in self._own.items():
            now = _cpu_s(process)
            self._own[process] = last if now is None else now
        # guest time is inside user time, iowait is idle time, and stolen time was never ours.
        busy = times.user + times.system + getattr(times, "nice", 0.0)
        busy += getattr(times, "irq", 0.0) + getattr(times, "softirq", 0.0)
        return _Counters(
            at=time.monotonic(),
            busy=busy,
            own=sum(self._own.values()),
            stolen=getattr(times, "steal", None),
            throttled=_throttled_s(),
            joules=self._gpu.joules() if self._gpu is not None else None,
        )

    def _cpu_mhz(self) -> float | None:
        """Clock of the CPU that the worker last ran on; None where the system does not tell (most guests)."""
        if not hasattr(self._worker, "cpu_num"):
            return None
        try:
            cpu = self._worker.cpu_num()
        except psutil.Error:
            return None
        clock = Path(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")
        return int(clock.read_text()) / 1000 if clock.exists() else None

    def _changed(self, name: str, now: float) -> bool:
        """Whether a clock left its median of the last calls; remembers it."""
        known = self._clocks.setdefault(name, deque(maxlen=_MEMORY))
        changed = len(known) >= 3 and abs(now / statistics.median(known) - 1) > CLOCK_CHANGE
        known.append(now)
        return changed


def _cpu_s(process: psutil.Process) -> float | None:
    """CPU time of a process so far; None once it is gone."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def _throttled_s() -> float | None:
    """How long the control group's CPU quota has held its processes back; None where there is no such count."""
    if not _OWN_CGROUP.exists():
        return None
    fields = dict(line.split() for line in _OWN_CGROUP.read_text().splitlines())
    return int(fields["throttled_usec"]) / 1e6 if "throttled_usec" in fields else None
