"""The order of one block: every arm once in random order, then mirrored, then once untimed (pure).

Mirroring cancels any drift that is linear over the block; the random order keeps arms from always meeting the
same neighbour. Both follow from (seed, group, unit, repeat) by a hash, so that a resumed run continues the same
plan under any Python version, which `random.shuffle` does not promise.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

from harness.plan import Arm, Group, Stage
from results.records import HEADLINE, INSTRUMENTED, Phase


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a block."""

    arm: Arm
    half: int
    phase: Phase


def block(seed: int, group: Group, unit: int, repeat: int) -> list[Call]:
    """The calls of one block in their order: every timed arm twice, and the untimed pass where it is due."""

    def shuffled(arms: Sequence[Arm]) -> list[Arm]:
        return sorted(arms, key=lambda arm: _draw(seed, group.number, unit, repeat, arm.label))

    timed, untimed = shuffled(group.timed), shuffled(group.untimed(first_visit=repeat == 0))
    calls = [Call(arm, 0, HEADLINE) for arm in timed] + [Call(arm, 1, HEADLINE) for arm in reversed(timed)]
    return calls + [Call(arm, 0, INSTRUMENTED) for arm in untimed]


def visits(stage: Stage, units: Mapping[int, Sequence[object]]) -> Iterator[tuple[Group, int, int]]:
    """Every (group, unit, repeat) of a stage, groups alternating so that all of them grow together.

    units: group number -> its units, at least one; a group that is not there is passed over.
    """
    groups = [group for group in stage.groups if group.number in units]
    for repeat in (stage.repeats if stage.repeats is not None else count()) if groups else ():
        for unit in range(max(len(units[group.number]) for group in groups)):
            for group in groups:
                if unit < len(units[group.number]) and not (group.once and repeat > 0):
                    yield group, unit, repeat


def sampling_seed(seed: int, group: Group, unit: int, repeat: int, call: Call) -> int:
    """The seed of one sampled call, below 2^31: no two calls share one, so that their draws are independent."""
    return _draw(seed, group.number, unit, repeat, call.arm.label, call.half, call.phase) >> 33


def _draw(*parts: object) -> int:
    """A uniform 64-bit number that depends on `parts` only."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big")
