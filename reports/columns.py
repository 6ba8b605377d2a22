"""The columns of a group's table in the terminal: speed and acceptance, or, without speed, the certificate."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from reports.groups import Group, labels
from reports.lossless import output
from reports.text import ABSENT, NOT_REVEALED, bounds, clean, ratio, revealed, share, small, span
from results.certificate import Equivalence
from results.verdicts import ArmTiming, CellVerdict


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a group's table."""

    name: str
    of: Callable[[CellVerdict], str]
    table: Literal["both", "speed", "acceptance"]
    rank: int
    """0 stays at any width; the highest goes first where there is no room."""
    justify: Literal["left", "right"] = "right"


def _arms(pick: Callable[[ArmTiming], float | None]) -> Callable[[CellVerdict], str]:
    def both(cell: CellVerdict) -> str:
        ends = [revealed(pick(arm) if arm else None) for arm in (cell.baseline, cell.speculative)]
        return NOT_REVEALED if set(ends) == {NOT_REVEALED} else " → ".join(ends)

    return both


def _acceptance(cell: CellVerdict) -> str:
    return NOT_REVEALED if cell.acceptance is None else f"{cell.acceptance.length:.2f}"


def _positions(cell: CellVerdict) -> str:
    joint = cell.acceptance.per_position if cell.acceptance else ()
    return " ".join(f"{p:.2f}".lstrip("0") for p in joint) or NOT_REVEALED


def _status(cell: CellVerdict) -> str:
    return " ".join(labels(cell)) or "ok"


def _diverged(pick: Callable[[Equivalence], int | None]) -> Callable[[CellVerdict], str]:
    def told(cell: CellVerdict) -> str:
        n = pick(cell.equivalence) if cell.equivalence and cell.equivalence.prompts else None
        return ABSENT if n is None else f"{n:,}"

    return told


_CERTIFIED = (
    Column("prompts", _diverged(lambda e: e.prompts), "both", 3),
    Column("identical", _diverged(lambda e: e.identical), "both", 1),
    Column("tie", _diverged(lambda e: e.tie), "both", 1),
    Column("batch numerics", _diverged(lambda e: e.batch_numerics), "both", 1),
    Column("unexplained", _diverged(lambda e: e.unexplained), "both", 1),
    Column("worst regret", lambda c: small(c.equivalence.max_regret if c.equivalence else None), "both", 1),
)
_SAMPLED = (
    Column("tokens", lambda c: f"{c.sampling.n:,}" if c.sampling else ABSENT, "both", 1),
    Column("smallest p", lambda c: small(c.sampling.p if c.sampling else None, 2), "both", 1),
    Column("visible bias", lambda c: small(c.sampling.power_at if c.sampling else None, 2), "both", 1),
)


def columns(group: Group) -> list[Column]:
    """The columns of this group's table."""
    by_method = [Column("method", lambda c: clean(c.method, 20), "both", 0, "left")] if len(group.methods) > 1 else []
    if not group.speed:
        return [
            Column("k", lambda c: str(c.draft_length), "both", 0),
            *by_method,
            Column("output", output, "both", 0, "left"),
            *(_CERTIFIED if any(c.equivalence for c in group.cells) else ()),
            *(_SAMPLED if any(c.sampling for c in group.cells) else ()),
            Column("accept. length", _acceptance, "both", 2),
            Column("status", _status, "both", 0, "left"),
        ]
    return [
        Column("k", lambda c: str(c.draft_length), "both", 0),
        *by_method,
        Column("speed-up", lambda c: ratio(c.speedup.point if c.speedup else None), "speed", 0),
        Column("new prompts", lambda c: span(c.speedup.new_prompts if c.speedup else None), "speed", 1),
        Column("these prompts", lambda c: span(c.speedup.these_prompts if c.speedup else None), "speed", 5),
        Column("accept. length", _acceptance, "acceptance", 0),
        Column("interval", lambda c: bounds(*((c.acceptance.low, c.acceptance.high) if c.acceptance else (None, None))),
               "acceptance", 1),
        Column("accepted at 1…k", _positions, "acceptance", 2, "left"),
        Column("TTFT ms", _arms(lambda arm: arm.ttft_ms), "speed", 4),
        Column("TPOT ms", _arms(lambda arm: arm.tpot_ms), "speed", 2),
        Column("tokens/s", _arms(lambda arm: arm.tokens_per_s), "speed", 3),
        Column("4-grams", lambda c: share(c.distinct_4grams), "acceptance", 3),
        Column("failed/flagged", lambda c: f"{c.trials_failed}/{c.trials_flagged} of {c.trials}", "acceptance", 4),
        Column("status", _status, "both", 0, "left"),
    ]  # fmt: skip
