"""NVIDIA GPUs as the driver describes them, through pynvml where it is installed; otherwise nothing is known."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Self

SLOWED = 0x08 | 0x20 | 0x40 | 0x80
"""nvmlClocksEventReason: HW slowdown, SW thermal, HW thermal, HW power brake. A power cap alone (0x04) is normal."""


@dataclass(frozen=True, slots=True)
class GpuState:
    """One reading."""

    values: dict[str, float]
    throttled: bool


def nvml() -> Any | None:
    """The initialised library; None where it, or a driver, is missing."""
    if find_spec("pynvml") is None:
        return None
    library = import_module("pynvml")
    try:
        library.nvmlInit()
    except library.NVMLError:
        return None
    return library


@dataclass(frozen=True, slots=True)
class Gpu:
    """One device."""

    nvml: Any
    handle: Any

    @classmethod
    def of_device(cls, device: str | None) -> Self | None:
        """The GPU that `cuda:1 NVIDIA …` names; None for any other device, or where nothing can be read."""
        match = re.match(r"cuda(?::(\d+))?\b", device or "")
        library = nvml() if match else None
        if match is None or library is None:
            return None
        # The index counts what CUDA_VISIBLE_DEVICES leaves, by number or UUID, while NVML counts every board.
        index = int(match[1] or 0)
        visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
        board = visible[index] if index < len(visible) else str(index)
        try:
            if board.isdecimal():
                return cls(library, library.nvmlDeviceGetHandleByIndex(int(board)))
            return cls(library, library.nvmlDeviceGetHandleByUUID(board))
        except library.NVMLError:
            return None

    def joules(self) -> float | None:
        """Energy since the driver was loaded, as the board counts it (Volta and newer); None where it does not."""
        with suppress(self.nvml.NVMLError):
            return float(self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle)) / 1000
        return None

    def state(self) -> GpuState:
        """Clock, temperature, power draw at this moment, and whether heat or power hold the device back."""
        n, handle = self.nvml, self.handle
        values: dict[str, float] = {}
        readings: dict[str, Callable[[], float]] = {
            "gpu_sm_mhz": lambda: float(n.nvmlDeviceGetClockInfo(handle, n.NVML_CLOCK_SM)),
            "gpu_celsius": lambda: float(n.nvmlDeviceGetTemperature(handle, n.NVML_TEMPERATURE_GPU)),
            "gpu_watts": lambda: n.nvmlDeviceGetPowerUsage(handle) / 1000,
            "gpu_clock_reasons": lambda: float(n.nvmlDeviceGetCurrentClocksThrottleReasons(handle)),
        }
        for name, read in readings.items():
            with suppress(n.NVMLError):  # this board does not tell
                values[name] = read()
        return GpuState(values, throttled=bool(int(values.get("gpu_clock_reasons", 0)) & SLOWED))
