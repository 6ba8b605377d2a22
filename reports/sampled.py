"""The certificate of sampled output in plain sentences. "Not distinguishable" is never called lossless."""

from collections.abc import Iterable, Iterator, Sequence

from reports.groups import Group
from reports.text import NOT_COMPUTED, TONES, Line, Tone, clean, count, small
from results.certificate import SamplingCertificate


def lines(group: Group) -> Iterator[Line]:
    """The certificates of a group's sampled cells; nothing where there is none."""
    found = [(cell, cell.sampling) for cell in group.cells if cell.sampling]
    for where, alike in group.alike(found, lambda s: (s.verdict, s.verdict != "not distinguishable" and s.reason)):
        yield from _verdict(where, alike)
    known = judged(s for _, s in found)
    if known:
        both = controls(known)
        yield Line(f"Controls: {'; '.join(c.text for c in both)}", max((c.tone for c in both), key=TONES.index))


def judged(found: Iterable[SamplingCertificate]) -> list[SamplingCertificate]:
    """Those with a conclusion, or with a control that forbade one."""
    return [s for s in found if s.verdict != "untested" or False in (s.negative_control, s.positive_control)]


def _verdict(where: str, alike: Sequence[SamplingCertificate]) -> Iterator[Line]:
    found = alike[0]
    why = clean(found.reason)
    if found.verdict == "untested":
        yield Line(f"Sampled output untested {where}: {why or 'nothing was drawn'}", "caution")
    elif found.verdict == "biased":
        told = f"BIASED {where}: sampled output does not follow the target's own distribution"
        yield Line(f"{told}: {why or smallest(alike)} · {level(alike)} · {tested(alike)}", "loud")
    else:
        numbers = " · ".join((smallest(alike), level(alike), tested(alike)))
        yield Line(f"Sampled output not distinguishable from the target's own distribution {where} · {numbers}")
        yield Line(f"No proof of losslessness: {power(alike)}", "quiet")
    impossible = sum(s.impossible for s in alike)
    if impossible:
        tone: Tone = "loud" if found.verdict == "biased" else "quiet"
        yield Line(f"{count(impossible, 'token')} {where} that truncation leaves no probability", tone)


def smallest(found: Iterable[SamplingCertificate]) -> str:
    """The smallest p of several certificates."""
    ps = [s.p for s in found if s.p is not None]
    return f"smallest p {small(min(ps), 2)} after Holm's correction" if ps else f"smallest p {NOT_COMPUTED}"


def level(found: Iterable[SamplingCertificate]) -> str:
    """What p is held against."""
    return f"level {' to '.join(f'{at:g}' for at in sorted({s.level for s in found}))}"


def tested(found: Iterable[SamplingCertificate]) -> str:
    """How many tokens were tested."""
    ns = sorted({s.n for s in found})
    return count(ns[0], "token") + " tested" if len(ns) == 1 else f"{ns[0]:,} to {ns[-1]:,} tokens tested"


def power(found: Iterable[SamplingCertificate]) -> str:
    """What would have been caught, of several certificates the weakest."""
    known = [s.power_at for s in found]
    biases = [p for p in known if p is not None]
    if not biases or None in known:
        return f"which bias would have been caught was {NOT_COMPUTED}"
    return (
        f"a bias of {small(max(biases), 2)} in total variation towards the likeliest token would have been caught "
        "4 times in 5"
    )


def controls(found: Sequence[SamplingCertificate]) -> tuple[Line, Line]:
    """The negative and the positive control, the worst of several certificates."""
    negatives, positives = [s.negative_control for s in found], [s.positive_control for s in found]
    warmer = sorted({s.positive_temperature for s in found if s.positive_temperature is not None})
    biased = f"plain decoding at temperature {' or '.join(f'{t:g}' for t in warmer)}" if warmer else "a biased sampler"
    if False in negatives:
        chance = f"{100 * max(s.level for s in found):g} %"
        negative = Line(
            f"the target's own draws FAILED these tests, as {chance} do by chance: measure again", "caution"
        )
    else:
        negative = _held(None in negatives, "the target's own draws", "passed")
    if False in positives:
        positive = Line(f"{biased} was NOT caught: these tests show nothing here", "caution")
    else:
        positive = _held(None in positives, biased, "was caught")
    return negative, positive


def _held(untested: bool, what: str, did: str) -> Line:
    return Line(f"{what}: not tested" if untested else f"{what} {did}", "quiet")
