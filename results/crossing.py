"""Does a runtime compute the model that the reference runtime does? (plain greedy output, teacher-forced there)"""

import numpy as np

from results.arm import Arm
from results.certificate import CrossRuntime
from results.equivalence import regrets_of

CHOSEN = 0.9
"""Below this share of tokens that the reference would have chosen too, more than rounding differs. Half precision and
8-bit weights change about one choice in a hundred (demo pair), and a wrong mask, position or weight far more."""


def crossing(plain: Arm) -> CrossRuntime | None:
    """The plain arm's outputs under the reference's target; None where none was scored there."""
    if plain.scores.referee is None:
        return None
    places = {plain.place(row): row for row in plain.rows.tolist()}
    found = [scored for place in places if (scored := plain.scores.reference.get(place)) is not None]
    regrets = regrets_of(found)
    if regrets is None:
        return None
    chosen = np.concatenate([scored.tokens == scored.best for scored in found])
    share = float(chosen.mean())
    return CrossRuntime(
        reference=plain.scores.referee,
        prompts=len({prompt for _, prompt, output in places if (_, prompt, output) in plain.scores.reference}),
        tokens=len(chosen),
        chosen=share,
        regrets=regrets,
        doubtful=share < CHOSEN,
    )
