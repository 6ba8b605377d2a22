"""The measuring chain with known truth and without a model: mirrored blocks of arms on a machine that drifts."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from results.speedup import Effects

SPEEDUPS = (1.0, 1.4, 1.9)
"""True speed-up of each arm on an average prompt; the first is the control arm (plain again)."""


@dataclass(frozen=True)
class Machine:
    """What disturbs log times. Defaults are a busy laptop."""

    noise: float = 0.02
    """Standard deviation of a trial's log time."""
    noise_spread: float = 0.0
    """Standard deviation, between prompts, of the log of that standard deviation (its mean square stays)."""
    plain_noise: float = 1.0
    """Noise of the plain arm, beside that of every other arm."""
    autocorrelation: float = 0.6
    """Of the noise, from one trial to the next (AR(1))."""
    drift: float = 0.06
    """Slow-down from the first trial to the last."""
    wave: float = 0.03
    """Size of a swing with a period of `wave_period` trials."""
    wave_period: float = 150.0
    outliers: float = 0.0
    """Share of trials that something else on the machine delays ..."""
    outlier_size: float = 0.15
    """... by this much on average (exponential)."""
    prompts: float = 0.15
    """Standard deviation between prompts of the log speed-up, common to all draft lengths ..."""
    prompts_by_arm: float = 0.03
    """... and of each draft length's own."""
    prompt_shape: Literal["normal", "heavy tails", "skewed"] = "normal"
    """Of what is common: normal, Student's t with 3 degrees of freedom, or exponential."""
    launches: float = 0.0
    """Standard deviation between launches of an arm's log time."""


@dataclass(frozen=True)
class Simulated:
    """Many runs of one design."""

    halves: NDArray[np.float64]
    """(runs, arms, units, passes, 2): log(plain / arm)."""
    plain: NDArray[np.float64]
    """(runs, units, passes, 2): log time of the plain arm, on its own clock (a prompt's usual time is 0)."""
    launch: NDArray[np.int64]
    """(passes,)"""
    of_units: NDArray[np.float64]
    """(runs, arms, units): the true log speed-ups of these units, on average over launches."""
    of_arms: NDArray[np.float64]
    """(arms,): the true log speed-ups over all prompts there could be."""

    def effects(self, run: int, arm: int, blocks: int | None = None) -> Effects:
        """What the judgements see of one run and arm. blocks: only the first so many of the run are measured yet."""
        halves, plain = self.halves[run, arm], self.plain[run]
        units, passes = halves.shape[:2]
        if blocks is None or blocks == units * passes:
            return Effects(np.arange(units), halves, self.launch, plain)
        whole, more = divmod(blocks, units)
        halves = halves[:, : whole + (more > 0)].copy()
        halves[more:, whole:] = np.nan
        seen = units if whole else more
        return Effects(np.arange(seen), halves[:seen], self.launch[: halves.shape[1]], plain[:seen, : halves.shape[1]])


def simulate(
    *,
    runs: int,
    units: int,
    passes: int = 1,
    launches: int = 1,
    machine: Machine = Machine(),
    speedups: tuple[float, ...] = SPEEDUPS,
    mirrored: bool = True,
    seed: int = 0,
) -> Simulated:
    """Blocks of plain and every arm in random order, then mirrored; `passes` times over all units in each launch.

    mirrored=False lets the arms follow one another instead, each over all units: what METHOD calls wrong.
    """
    rng = np.random.default_rng(seed)
    arms, rounds = len(speedups) + 1, passes * launches
    order = np.argsort(rng.random((runs, rounds, units, arms)), axis=-1)
    order = np.stack([order, order[..., ::-1]], axis=3)
    spread = machine.noise_spread
    sizes = machine.noise * np.exp(spread * rng.standard_normal((runs, units)) - spread**2)
    noise, common = _machine_noise(rng, runs, rounds * units * 2 * arms, machine)
    if mirrored:
        shape = order.shape
        of_arm = np.where(order == 0, machine.plain_noise, 1.0)
        times = noise.reshape(shape) * sizes[:, None, :, None, None] * of_arm + common.reshape(shape)
        log_time = np.empty(shape)
        np.put_along_axis(log_time, order, times, axis=-1)
    else:
        shape = (runs, rounds, arms, units, 2)
        times = noise.reshape(shape) * sizes[:, None, None, :, None] + common.reshape(shape)
        log_time = np.moveaxis(times, 2, -1)
    added = rng.standard_normal((runs, launches, arms)) * machine.launches
    log_time += np.repeat(added, passes, axis=1)[:, :, None, None, :]
    truth = np.log(speedups)
    of_units = truth[:, None] + (truth != 0)[:, None] * (
        machine.prompts * _prompts(rng, (runs, 1, units), machine)
        + machine.prompts_by_arm * rng.standard_normal((runs, len(speedups), units))
    )
    ratio = np.moveaxis(log_time[..., :1] - log_time[..., 1:], (4, 2, 1), (1, 2, 3)) + of_units[..., None, None]
    plain = np.moveaxis(log_time[..., 0], 2, 1)
    return Simulated(ratio, plain, np.repeat(np.arange(launches), passes), of_units, truth)


def _prompts(rng: np.random.Generator, shape: tuple[int, ...], machine: Machine) -> NDArray[np.float64]:
    """Mean 0, variance 1."""
    match machine.prompt_shape:
        case "heavy tails":
            return rng.standard_t(3, shape) / np.sqrt(3)
        case "skewed":
            return rng.exponential(size=shape) - 1
        case _:
            return rng.standard_normal(shape)


def _machine_noise(
    rng: np.random.Generator, runs: int, trials: int, machine: Machine
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two (runs, trials), in the order in which trials run: noise of size 1; what else the log times bear."""
    shocks = rng.standard_normal((trials, runs))
    shocks[1:] *= np.sqrt(1 - machine.autocorrelation**2)
    for trial in range(1, trials):
        shocks[trial] += machine.autocorrelation * shocks[trial - 1]
    when = np.arange(trials)[:, None] / trials
    phase = np.arange(trials)[:, None] / machine.wave_period + rng.random((1, runs))
    swing = machine.wave * np.sin(2 * np.pi * phase)
    delays = (rng.random((trials, runs)) < machine.outliers) * rng.exponential(machine.outlier_size, (trials, runs))
    return shocks.T, (machine.drift * when + swing + delays).T
