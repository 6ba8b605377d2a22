"""What a setting is to be good at: the figure that is shown, and what is compared prompt by prompt."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from results.arm import Arm
from results.effects import Takes, Visit, tpot
from results.runfile import RunFile

Name = Literal["latency", "throughput", "cost", "energy"]
NAMES: tuple[Name, ...] = get_args(Name)

Watts = Mapping[int, float]
"""Trial id -> power that the GPU drew during that call."""


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """One of the things that a setting can be good at."""

    name: Name
    unit: str
    """Of the figure."""
    larger: bool
    """Whether a larger figure is better."""
    takes: Takes
    """Compared prompt by prompt."""
    figure: Callable[[Arm], float | None]
    """Over all prompts of an arm."""


def objective(name: Name, price_per_hour: float | None, watts: Watts) -> Objective:
    """The objective of that name. price_per_hour: of the machine, in whatever currency; needed for cost only."""
    if name == "latency":
        return Objective(name, "ms per token", False, tpot, lambda arm: arm.timing.tpot_ms if arm.timing else None)
    if name == "throughput":
        return Objective(name, "tokens/s", True, wall, rate)
    if name == "cost":
        return Objective(name, "per million tokens", False, wall, lambda arm: cost(rate(arm), price_per_hour))
    return Objective(
        name, "J per token", False, lambda visit: energy(visit, watts), lambda arm: joules_per_token(arm, watts)
    )


def wall(visit: Visit) -> float | None:
    """Nanoseconds per token, all rows of a batch together."""
    return visit.timing.wall_ns / visit.timing.tokens if visit.timing.tokens else None


def rate(arm: Arm) -> float | None:
    """Tokens per second, all rows of a batch together."""
    return arm.timing.tokens_per_s if arm.timing else None


def cost(tokens_per_s: float | None, price_per_hour: float | None) -> float | None:
    """What a million tokens cost on a machine that is always as busy as in the run: price / tokens in an hour."""
    if tokens_per_s is None or price_per_hour is None:
        return None
    return price_per_hour * 1e6 / (3600 * tokens_per_s)


def energy(visit: Visit, watts: Watts) -> float | None:
    """Power x time / tokens of a call; None where no power was read beside it. In nanojoules per token."""
    power, time = watts.get(visit.trial) if visit.trial is not None else None, wall(visit)
    return power * time if power and time else None


def joules_per_token(arm: Arm, watts: Watts) -> float | None:
    """Energy over all calls beside which power was read / their tokens; None where there is no such call.

    The power is the mean over each call, by the board's energy counter; of short calls and boards without one it is a
    single reading at the end, taken to have held all the time. It is one board's; the host's is not in it.
    """
    read = [(taken, visit.timing.tokens) for visit in arm.headline if (taken := energy(visit, watts))]
    tokens = sum(n for _, n in read)
    return sum(taken * n for taken, n in read) / 1e9 / tokens if tokens else None


def watts(file: RunFile) -> dict[int, float]:
    """Power beside each trial of a run file; empty where none was read."""
    return _numbers(file.query("SELECT trial_id, value FROM telemetry WHERE name = 'gpu_watts' AND value > 0"))


def peak_memory(file: RunFile) -> dict[int, float]:
    """Cell id -> the most memory in bytes that a call of it took; absent where the runtime does not tell."""
    return _numbers(
        file.query(
            "SELECT cell_id, max(peak_memory_bytes) FROM generation JOIN trial ON trial.id = trial_id"
            " WHERE peak_memory_bytes IS NOT NULL GROUP BY cell_id"
        )
    )


def _numbers(rows: Iterable[tuple[int, float]]) -> dict[int, float]:
    return dict(rows)
