"""What `results.choosing.recommend` says: the shape of `mtpbench recommend --json` (schema 1).

Ratios are plain over drafted in what the objective counts (time per token, money, energy), so that above 1 drafting is
the better; None means unknown or not computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

from results.choosing.objective import Name
from results.choosing.wishes import Wishes
from results.verdicts import Interval

SCHEMA = 1

Outcome = Literal["faster", "limits", "same", "untold", "slower", "plain only", "none"]
"""faster: drafting is distinguishably better. limits: plain decoding does not keep the limits, and a drafted setting
does. same: no gain that the file can tell. untold: too little was measured to tell. slower: drafting costs. plain only:
no drafted setting may be chosen. none: nothing may be. Plain decoding is recommended from `same` to `plain only`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Plain decoding, or one drafted setting that may be ranked."""

    cell_id: int
    method: str | None
    """None: plain decoding."""
    draft_length: int
    """0: plain decoding."""
    figure: float | None
    """What the objective counts, in its unit, over all prompts."""
    gain: float | None
    """Geometric mean over prompts of plain / this; 1 for plain decoding."""
    adjusted: Interval | None
    """Of the gain, for new prompts, widened for choosing among all drafted settings (max-T)."""
    probability: float | None
    """Of being the best for prompts like these, among the settings that may be chosen; None: fewer than 4 units, or
    nothing to choose from."""
    tpot_ms: float | None
    """Medians over prompts."""
    ttft_ms: float | None
    tokens_per_s: float | None
    """The whole batch together."""
    memory_bytes: float | None
    """The most that a call took; None: the runtime does not tell."""
    cost_per_million: float | None
    """What a million tokens cost; None without a price."""
    joules_per_token: float | None
    """From power read beside the calls; None where none was."""
    output: str
    """Whether the output is the target's own, as far as it was tested; empty for plain decoding."""
    excluded: str = ""
    """Which limit it does not keep; empty where it may be chosen."""


@dataclass(frozen=True, slots=True)
class Against:
    """The recommended setting beside another one, prompt by prompt."""

    cell_id: int
    gain: float
    """Geometric mean of what the other one takes / what the recommended one takes."""
    interval: Interval | None
    """For new prompts, widened for all settings compared."""
    distinguishable: bool | None
    """The interval excludes 1 and the gain exceeds the A/A interval; None where one of them is not known."""


@dataclass(frozen=True, slots=True)
class Aside:
    """A cell that may not be ranked, and why."""

    cell_id: int
    method: str
    draft_length: int
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """What the cells of a group share."""

    file: str
    group: int
    backend: str
    pair: str
    batch_size: int
    prompt_tokens: int | None
    output_tokens: int
    temperature: float
    dtype: str
    device: str
    machine: str
    """Tells machines apart; empty where it was not stored."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The recommendation for one group."""

    place: Place
    outcome: Outcome
    reason: str
    """Why, in one line."""
    chosen: int | None
    """Cell id of the recommended setting; None: nothing may be recommended."""
    settings: tuple[Setting, ...]
    """Plain decoding first, then the drafted ones that may be ranked."""
    beside: tuple[Against, ...]
    """A recommended drafted setting beside every other that keeps the limits, plain decoding first."""
    aside: tuple[Aside, ...]
    units: int
    """Prompts, or prompt batches, that were measured in both arms: the fewest of any setting."""
    aa: Interval | None
    """Plain decoding against itself, in what the objective counts."""
    confidence: float
    deployment: str | None = None
    """How to run the recommended setting without mtpbench, in its runtime's words; None: not known here."""

    @property
    def setting(self) -> Setting | None:
        """The recommended one."""
        return self.of(self.chosen) if self.chosen is not None else None

    def of(self, cell_id: int) -> Setting:
        """The setting of a cell."""
        return next(setting for setting in self.settings if setting.cell_id == cell_id)


@dataclass(frozen=True, slots=True)
class AtBatch:
    """The best drafted setting at one batch size, limits or not."""

    file: str
    group: int
    batch_size: int
    draft_length: int
    gain: float
    adjusted: Interval | None
    outcome: Outcome
    """`faster`, `same`, `slower` or `untold`, as in a choice."""


@dataclass(frozen=True, slots=True)
class BreakEven:
    """Up to which batch size drafting pays, for groups that differ in nothing else."""

    place: Place
    """Of the smallest batch."""
    batches: tuple[AtBatch, ...]
    """Ascending; at least two."""
    pays_up_to: int | None
    """The largest batch that is `faster`, below the first that is not; None where there is none."""
    ends_at: int | None
    """The smallest batch that is neither `faster` nor `untold`; None where there is none."""
    crossing: float | None
    """Where the gain is 1, interpolated between the two neighbours in log(batch) and log(gain); None where no
    neighbours have it between them."""


@dataclass(frozen=True, slots=True)
class Pick:
    """The best over runtimes and batch sizes, for the same pair, prompt length, output length and temperature."""

    place: Place
    cell_id: int
    among: int
    """Groups that it is the best of: those that had something to recommend, but for `left_out`."""
    machines: int
    """Different machines among them: figures of different machines say little about the runtimes."""
    dtypes: tuple[str, ...]
    """Number formats among them: a coarser one is faster, and gives other outputs."""
    runtimes: int = 1
    """Different ones among them, as the next two."""
    batch_sizes: int = 1
    files: int = 1
    devices: tuple[str, ...] = ()
    not_deployed: str = ""
    """Why nobody deploys with the runtime of the best, where there was no other; empty where people do."""
    left_out: tuple[str, ...] = ()
    """Runtimes that nobody deploys with, and that were not compared for that."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """All of it."""

    wishes: Wishes
    objective: Name
    unit: str
    choices: tuple[Choice, ...]
    picks: tuple[Pick, ...]
    break_even: tuple[BreakEven, ...]
    notes: tuple[str, ...] = ()
    """What a reader must know before trusting the figures; with the file that it is about, where there are several."""
    schema: int = SCHEMA

    def deployed(self, told: Mapping[tuple[str, int], str]) -> Self:
        """The same with how to deploy what is recommended: (file, cell id) -> text."""
        choices = (
            replace(each, deployment=told.get((each.place.file, each.chosen)) if each.chosen is not None else None)
            for each in self.choices
        )
        return replace(self, choices=tuple(choices))
