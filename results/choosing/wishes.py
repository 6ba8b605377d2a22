"""What a deployment asks for: what it should be good at, and what it must keep."""

import math
from dataclasses import dataclass

from results.choosing.objective import NAMES, Name
from results.errors import UsageError


@dataclass(frozen=True, slots=True)
class Wishes:
    """An objective and limits. Limits hold for medians over prompts, as the tables show them."""

    objective: Name = "latency"
    max_tpot_ms: float | None = None
    max_ttft_ms: float | None = None
    min_batch: int = 1
    memory_bytes: float | None = None
    """The most memory that a call may take, weights and all."""
    price_per_hour: float | None = None
    """Of the machine, in whatever currency."""

    def __post_init__(self) -> None:
        """Raises UsageError, in one line, for what cannot be meant."""
        if self.objective not in NAMES:
            raise UsageError(f"--for {self.objective}: it is one of {', '.join(NAMES)}")
        limits = {
            "--max-tpot-ms": self.max_tpot_ms,
            "--max-ttft-ms": self.max_ttft_ms,
            "--min-batch": self.min_batch,
            "--memory": self.memory_bytes,
            "--price-per-hour": self.price_per_hour,
        }
        for flag, value in limits.items():
            positive(flag, value)
        if self.objective == "cost" and self.price_per_hour is None:
            raise UsageError("--for cost needs what the machine costs: add --price-per-hour, e.g. 2.50")


def positive(flag: str, value: float | None) -> None:
    """Raises UsageError, in one line, where a value is given that is no finite number above 0."""
    if value is not None and not (math.isfinite(value) and value > 0):
        raise UsageError(f"{flag} {value:g}: it is a finite number above 0")


def outside(
    wishes: Wishes, batch_size: int, tpot_ms: float | None, ttft_ms: float | None, memory_bytes: float | None
) -> str:
    """Which limit a setting does not keep, or is not known to keep; empty where it keeps all."""
    if batch_size < wishes.min_batch:
        return f"batch {batch_size} is below {wishes.min_batch}"
    for name, limit, value in (("TPOT", wishes.max_tpot_ms, tpot_ms), ("TTFT", wishes.max_ttft_ms, ttft_ms)):
        if limit is not None and value is None:
            return f"{name} not revealed"
        if limit is not None and value is not None and value > limit:
            return f"{name} {value:.3g} ms is above {limit:g} ms"
    if wishes.memory_bytes is not None and memory_bytes is None:
        return "memory not revealed"
    if wishes.memory_bytes is not None and memory_bytes is not None and memory_bytes > wishes.memory_bytes:
        return f"memory {memory_bytes / 1e9:.3g} GB is above {wishes.memory_bytes / 1e9:.3g} GB"
    return ""
