"""From the engine's one figure to the counts of a generation.

When an engine that drafted is destroyed, it logs `MTP Drafter - Success rate: X`, X = accepted / (rounds * k), to six
digits and over everything it has decoded. Of an engine that decoded one text of N tokens that is enough: the first
token comes from no round, and every round emits its accepted drafts and one token more, so

    N - 1 = rounds + accepted - lost,     accepted = X * rounds * k,

where lost is 0 unless the end of text cut the last round. Nothing is lost at the length limit: the engine runs past it
to the end of its round, and counts what it emitted.
"""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from results.records import DraftCounts

RATE = re.compile(rb"MTP Drafter - Success rate: (-?[0-9.eE+-]+|-?nan)")
ROUNDING = 6e-7
"""Of a rate below 1 printed with six digits, computed in single precision."""

NOTHING = DraftCounts(rounds=0, drafted=0, accepted=0)
UNKNOWN = DraftCounts(rounds=None, drafted=None, accepted=None)


class Decoded(NamedTuple):
    """A generation as its engine's last words tell it."""

    counts: DraftCounts
    n_tokens: int


def stated(log: bytes) -> float | None:
    """The last success rate in a log, NaN where it is of no round; None where there is none: nothing was drafted."""
    found = RATE.findall(log)
    return float(found[-1]) if found else None


def decoded(rate: float | None, n_tokens: int, k: int, *, stopped: bool) -> Decoded:
    """Counts of one generation.

    rate: None where the engine stated none: it did not draft. stopped: the text ended before the length limit; then
    the engine counts the end token or not, so that one more token may have been emitted than it says. Unknown where
    more than one number of rounds fits. Raises RuntimeError where none does: the rate, k or the count is not what it
    is taken for.
    """
    if rate is None or math.isnan(rate):
        return Decoded(NOTHING, n_tokens)
    whole = _fitting(rate, n_tokens, k, range(1))
    cut = _fitting(rate, n_tokens, k, range(k + 1))
    if found := cut if stopped else whole or cut:
        return Decoded(found[0] if len(found) == 1 else UNKNOWN, n_tokens)
    if stopped and len(found := _fitting(rate, n_tokens + 1, k, range(k, k + 1))) == 1:
        return Decoded(found[0], n_tokens + 1)
    raise RuntimeError(
        f"the engine states a success rate of {rate:g} for {n_tokens} tokens, which no number of rounds of {k} "
        "drafts gives"
    )


def _fitting(rate: float, n_tokens: int, k: int, lost: Iterable[int]) -> list[DraftCounts]:
    """Every number of rounds that gives this rate and so many tokens."""
    possible = set(lost)
    found = []
    for rounds in range(1, n_tokens + k + 1):
        accepted = round(rate * rounds * k)
        near = abs(accepted / (rounds * k) - rate) <= ROUNDING
        if near and accepted + rounds - (n_tokens - 1) in possible:
            found.append(DraftCounts(rounds, drafted=rounds * k, accepted=accepted))
    return found
