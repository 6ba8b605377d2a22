"""The designs whose intervals are judged: how many prompts, passes and launches, and what disturbs the machine.

Outliers are left out wherever they are not the subject: they make intervals wide, and so would hide it where
something else makes them too narrow.
"""

from dataclasses import dataclass, replace

from tests.support.chain import SPEEDUPS, Machine, Simulated, simulate

RUNS = 4_000
"""Simulated runs of a design: a coverage of 95 % is then known to a third of a percent (one standard error)."""
BAND = (0.93, 0.97)
"""What a nominal 95 % should really cover."""

USUAL = Machine()
"""Noise that lasts from trial to trial, a drift, waves."""
STILL = replace(USUAL, autocorrelation=0.0, drift=0.0, wave=0.0)
LAUNCHES = replace(USUAL, launches=0.03)
FEW_DISTURBED = replace(USUAL, outliers=0.03)
MANY_DISTURBED = replace(USUAL, outliers=0.1, outlier_size=0.3)
SEVEN_LENGTHS = (1.0, 1.36, 1.65, 1.9, 1.93, 1.92, 1.85, 1.8)


@dataclass(frozen=True)
class Design:
    """One row of the table."""

    name: str
    units: int = 20
    passes: int = 1
    launches: int = 1
    machine: Machine = USUAL
    speedups: tuple[float, ...] = SPEEDUPS
    these: tuple[float, float] = BAND
    """What the interval on these prompts must cover: another band than `BAND` is a known weakness."""
    new: tuple[float, float] = BAND
    """The same for the interval on new prompts."""

    @property
    def weak(self) -> bool:
        """Its coverage is known to leave the band."""
        return (self.these, self.new) != (BAND, BAND)

    def simulated(self, runs: int = RUNS, seed: int = 0) -> Simulated:
        """Many runs of this design."""
        return simulate(
            runs=runs,
            units=self.units,
            passes=self.passes,
            launches=self.launches,
            machine=self.machine,
            speedups=self.speedups,
            seed=seed,
        )


DESIGNS = (
    Design("20 prompts once"),
    Design("8 prompts once", units=8),
    Design("5 prompts once", units=5),
    Design("4 prompts once", units=4),
    Design("20 prompts, 3 passes", passes=3),
    Design("8 prompts, 5 passes", units=8, passes=5),
    Design("5 prompts, 10 passes", units=5, passes=10),
    Design("20 prompts in 2 launches", launches=2, machine=LAUNCHES),
    Design("20 prompts in 3 launches", launches=3, machine=LAUNCHES),
    Design("5 prompts in 3 launches", units=5, launches=3, machine=LAUNCHES),
    Design("3 launches that do not differ", launches=3),
    Design(
        "2 launches that differ more than the prompts",
        launches=2,
        machine=replace(LAUNCHES, prompts=0.02, prompts_by_arm=0.02),
    ),
    Design("seven draft lengths", speedups=SEVEN_LENGTHS),
    Design("independent noise, no drift, no waves", machine=STILL),
    Design("slower by half at the end", machine=replace(USUAL, drift=0.5)),
    Design("waves of 10 %", machine=replace(USUAL, wave=0.1)),
    Design("fast waves of 5 %", machine=replace(USUAL, wave=0.05, wave_period=40), these=(0.93, 0.98)),
    Design("strong autocorrelation (0.9)", machine=replace(USUAL, autocorrelation=0.9)),
    Design("3 % of trials delayed by 15 %", machine=FEW_DISTURBED),
    Design("the same, 8 prompts, 5 passes", units=8, passes=5, machine=FEW_DISTURBED),
    Design("10 % of trials delayed by 30 %", machine=MANY_DISTURBED),
    Design("noise of unequal size", machine=replace(USUAL, noise_spread=0.5)),
    Design("noise of very unequal size", machine=replace(USUAL, noise_spread=0.7), these=(0.92, 0.97)),
    Design("the same, 5 prompts", units=5, machine=replace(USUAL, noise_spread=0.7), these=(0.92, 0.97)),
    Design("the same, 20 prompts, 3 passes", passes=3, machine=replace(USUAL, noise_spread=0.7)),
    Design("prompts that differ much (sd 0.4)", machine=replace(USUAL, prompts=0.4)),
    Design("the same, with heavy tails", machine=replace(USUAL, prompts=0.4, prompt_shape="heavy tails")),
    Design("the same, skewed", machine=replace(USUAL, prompts=0.4, prompt_shape="skewed"), new=(0.90, 0.97)),
    Design(
        "the same, skewed, 8 prompts",
        units=8,
        machine=replace(USUAL, prompts=0.4, prompt_shape="skewed"),
        new=(0.87, 0.97),
    ),
    Design("3 % of trials delayed by 15 %, 2 passes", passes=2, machine=FEW_DISTURBED),
    Design("10 % of trials delayed by 30 %, 2 passes", passes=2, machine=MANY_DISTURBED),
    Design("the same, 8 prompts once", units=8, machine=MANY_DISTURBED),
    Design("the same, 5 prompts once", units=5, machine=MANY_DISTURBED, these=(0.93, 0.98)),
    Design("a plain arm with a third of the noise", machine=replace(USUAL, plain_noise=1 / 3), these=(0.91, 0.97)),
)
