"""What a drafted setting costs and saves beside plain decoding: time, memory, energy, money."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.groups import Group
from reports.resources import Resources, Used
from reports.text import NOT_REVEALED, number, size
from results.choosing.objective import cost
from results.verdicts import ArmTiming, CellVerdict

NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Spent:
    """One cell's spending, `before` that of its plain arm."""

    cell: CellVerdict
    used: Used
    before: Used
    price_per_hour: float | None

    @property
    def joules(self) -> tuple[float | None, float | None]:
        """Per token, plain and drafted: power / (tokens per second of the whole batch)."""
        return _joules(self.before, self.cell.baseline), _joules(self.used, self.cell.speculative)

    @property
    def money(self) -> tuple[float | None, float | None]:
        """Per million tokens, plain and drafted, on a machine that is always as busy as in the run."""
        plain, drafted = (cost(arm.tokens_per_s if arm else None, self.price_per_hour)
                          for arm in (self.cell.baseline, self.cell.speculative))  # fmt: skip
        return plain, drafted

    @property
    def lines(self) -> tuple[tuple[str, str], ...]:
        """(name, value) for the first screen."""
        plain, drafted = self.cell.baseline or _NO_TIMING, self.cell.speculative or _NO_TIMING
        told = [
            ("Time per token", change(plain.tpot_ms, drafted.tpot_ms, "ms")),
            ("First token (TTFT)", change(plain.ttft_ms, drafted.ttft_ms, "ms")),
            ("Whole batch", change(plain.tokens_per_s, drafted.tokens_per_s, "tokens/s")),
            ("Drafter’s memory", size(self.cell.drafter_memory_bytes)),
            ("Energy per token", change(*self.joules, "J", NOT_MEASURED)),
        ]
        if self.price_per_hour is not None:
            told.append(("Money per million tokens", change(*self.money, "", NOT_MEASURED)))
        return tuple(told)


_NO_TIMING = ArmTiming(None, None, None)


def _joules(used: Used, arm: ArmTiming | None) -> float | None:
    return used.watts / arm.tokens_per_s if used.watts and arm and arm.tokens_per_s else None


def spent(group: Group, found: Resources, price_per_hour: float | None) -> tuple[Spent, ...]:
    """Of every cell of a group."""
    before = found.of_plain(group.number)
    return tuple(Spent(cell, found.of(cell.cell_id), before, price_per_hour) for cell in group.cells)


def change(before: float | None, after: float | None, unit: str, missing: str = NOT_REVEALED) -> str:
    """`7.09 → 3.47 ms (−51 %)`; one side alone where the other is not known."""
    if before is None and after is None:
        return missing
    ends = " → ".join(missing if value is None else number(value) for value in (before, after))
    told = f"{ends} {unit}".rstrip()
    if not before or after is None:
        return told
    moved = round(100 * (after / before - 1))
    return f"{told} ({'+' if moved > 0 else '−' if moved < 0 else '±'}{abs(moved)}\u00a0%)"


def sizes(before: float | None, after: float | None, missing: str = NOT_REVEALED) -> str:
    """The same of bytes."""
    if before is None and after is None:
        return missing
    return " → ".join(missing if value is None else size(value) for value in (before, after))


def layers(experts: Sequence[float]) -> str:
    """Mean over layers, and the range where they differ."""
    if not experts:
        return NOT_REVEALED
    mean, low, high = sum(experts) / len(experts), min(experts), max(experts)
    return number(mean) if high - low < 0.01 else f"{number(mean)} ({number(low)}–{number(high)})"
