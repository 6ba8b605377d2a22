"""From the engine's one figure to the counts of a generation.

When an engine that drafted is destroyed, it logs `MTP Drafter - Success rate: X`, X = accepted / (rounds * k), to six
digits and over everything it has decoded. Of an engine that decoded one text of n tokens that is enough: the first
token comes from no round, and every round emits its accepted drafts and one token more, so

    n - 1 = rounds + accepted - lost,     accepted = X * rounds * k.

lost is what the end of text cut from the last round. Nothing is lost at the length limit: the engine runs past it to
the end of its round, and counts what it emitted. Nothing is lost either where the end token is the one that the target
adds to a round; where it is an accepted draft, 1 to k tokens after it are, and the engine does not count it (tried: 40
texts cut short by a stop token put into a bundle, beside their plain outputs).
"""

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

from results.records import DraftCounts

RATE = re.compile(rb"MTP Drafter - Success rate: (-?[0-9.eE+-]+|-?nan)")
ROUNDING = 6e-7
"""Of a rate up to 1 printed with six digits, computed in single precision."""

NOTHING = DraftCounts(rounds=0, drafted=0, accepted=0)
UNKNOWN = DraftCounts(rounds=None, drafted=None, accepted=None)


class Decoded(NamedTuple):
    """A generation as its engine's last words tell it."""

    counts: DraftCounts
    n_tokens: int
    """The end token included, as the plain arm counts it."""


def stated(log: bytes) -> float | None:
    """The last success rate in a log, NaN where it is of no round; None where there is none: nothing was drafted."""
    found = RATE.findall(log)
    return float(found[-1]) if found else None


def decoded(rate: float | None, n_tokens: int, k: int, *, stopped: bool) -> Decoded:
    """Counts of one generation that its engine counted `n_tokens` of.

    rate: None where the engine stated none. stopped: the text ended before the length limit. Counts are unknown where
    more than one number of rounds fits, as in some short texts. Raises RuntimeError where none does: rate, k or tokens
    are not what they are taken for.
    """
    if rate is None or math.isnan(rate):
        return Decoded(NOTHING, n_tokens)
    if n_tokens == 0:  # the first token ended the text, and the round that was decoded with it gave nothing
        return Decoded(UNKNOWN, 1)
    whole = _fitting(rate, n_tokens, k, (0,))
    if whole and not stopped:
        return whole[0]
    found = whole + _fitting(rate, n_tokens + 1, k, range(1, k + 1))
    if not found:
        raise RuntimeError(
            f"the engine states a success rate of {rate:g} for {n_tokens} tokens, which no number of rounds of {k} "
            "drafts gives"
        )
    return found[0] if len(found) == 1 else Decoded(UNKNOWN, n_tokens)


def _fitting(rate: float, n_tokens: int, k: int, lost: Iterable[int]) -> list[Decoded]:
    """Every number of rounds that gives this rate and so many tokens. No more is lost than was accepted."""
    found = []
    for cut in lost:
        emitted = n_tokens - 1 + cut
        rounds = round(emitted / (1 + k * rate))
        accepted = emitted - rounds
        if rounds > 0 and cut <= accepted and abs(accepted / (rounds * k) - rate) <= ROUNDING:
            found.append(Decoded(DraftCounts(rounds, drafted=rounds * k, accepted=accepted), n_tokens))
    return found
