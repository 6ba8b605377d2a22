"""Text that is safe to show, and figures as readers expect them. Run files may come from strangers."""

import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from results.verdicts import Interval

NOT_REVEALED = "not revealed"
NOT_COMPUTED = "not computed"
ABSENT = "–"
"""For what was never measured: a failed or skipped cell."""

Tone = Literal["good", "plain", "quiet", "caution", "loud"]
TONES: tuple[Tone, ...] = ("good", "plain", "quiet", "caution", "loud")
"""The least alarming first."""


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence, and how it wants to be read."""

    text: str
    tone: Tone = "plain"


_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Unicode categories of control and format characters (ANSI escapes, bidirectional overrides), surrogates and
unassigned code points: what can move a cursor, reorder a line or break an encoder."""


def clean(value: object, limit: int = 400) -> str:
    """`value` as one line of visible characters, cut to `limit`: harmless in a terminal and in HTML once escaped."""
    text = str(value)
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return " ".join(
        "".join(_REPLACEMENT if unicodedata.category(c) in _HIDDEN and not c.isspace() else c for c in cut).split()
    )


_MARKS = {" ": " ", "\n": "↵\n", "\t": "⇥"}
"""Whitespace that tells two texts apart and would not be seen."""


def passage(value: str, limit: int, keep: Literal["start", "end"]) -> tuple[str, int]:
    """At most `limit` characters from one end of a text, lines kept and whitespace made visible; and how many were
    left out.

    A line break is ↵, a tab ⇥, any other space ␣; what `clean` hides is hidden here too.
    """
    kept = value[:limit] if keep == "start" else value[max(0, len(value) - limit) :]
    return "".join(_MARKS.get(c) or _visible(c) for c in kept), len(value) - len(kept)


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in _HIDDEN:
        return _REPLACEMENT
    return "␣" if category.startswith("Z") else character


def small(value: float | None, digits: int = 3) -> str:
    """A regret or a p, as small as it may be: `digits` significant digits, powers of ten below a thousandth."""
    if value is None or not math.isfinite(value):
        return NOT_COMPUTED
    return "0" if value == 0 else f"{value:.1e}" if abs(value) < 0.001 else number(value, digits)


_WRITTEN_OUT = (1e-6, 1e15)
"""From where to where figures have no exponent."""


def number(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits: 0.0712, 7.09, 141, 1,430; with an exponent only where that many digits
    would be a line of zeros: 1.71e-301."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "> 1e+308" if value > 0 else NOT_COMPUTED
    if not _WRITTEN_OUT[0] <= abs(value) < _WRITTEN_OUT[1]:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def revealed(value: float | None, unit: str = "") -> str:
    """A figure of the runtime's own, with its unit."""
    return NOT_REVEALED if value is None else number(value) + (f" {unit}" if unit else "")


def ratio(value: float | None) -> str:
    """A speed-up."""
    return NOT_COMPUTED if value is None else f"{value:.2f}×"


def span(interval: Interval | None, digits: int = 2) -> str:
    """An interval."""
    return NOT_COMPUTED if interval is None else f"{interval.low:.{digits}f}–{interval.high:.{digits}f}"


def bounds(low: float | None, high: float | None) -> str:
    """An interval whose ends may be unknown."""
    return span(Interval.between(low, high))


def share(value: float | None) -> str:
    """A share of 1 in per cent."""
    return NOT_REVEALED if value is None else f"{100 * value:.0f} %"


def confidence(value: float) -> str:
    """A confidence level, e.g. `95 %`."""
    return f"{100 * value:g} %"


def size(n_bytes: float | None) -> str:
    """Bytes in the largest decimal unit that leaves a figure above 1."""
    if n_bytes is None:
        return NOT_REVEALED
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(n_bytes) >= factor:
            return f"{number(n_bytes / factor)} {unit}"
    return f"{n_bytes:.0f} B"


def count(n: int, one: str, many: str | None = None) -> str:
    """`1 prompt`, `24 prompts`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def tied(text: str) -> str:
    """`text` whose `k = 4` cannot be broken over two lines."""
    return re.sub(r"\bk = (?=\d)", "k\u00a0=\u00a0", text)


def moment(unix_ns: object) -> str:
    """A stored time in UTC."""
    if not isinstance(unix_ns, int) or not 0 <= unix_ns < 253_402_300_800 * 10**9:  # datetime ends with the year 9999
        return "time not stored"
    return datetime.fromtimestamp(unix_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M UTC")
