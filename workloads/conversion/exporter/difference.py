"""One output of an exported file against the same numbers of Transformers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

BOUND = 1e-4
"""Largest difference allowed, of logits as large as 16. Measured on the demo pair: 1.2e-5."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Difference:
    """One output, compared."""

    of: str
    largest: float
    magnitude: float
    """Of the largest value that Transformers gives."""
    same_choice: bool
    """Whether the largest value is at the same place in every row."""

    @property
    def wrong(self) -> bool:
        return not (self.largest <= BOUND and self.same_choice)

    def __str__(self) -> str:
        choice = "same choice" if self.same_choice else "ANOTHER CHOICE"
        return f"{self.of}: largest difference {self.largest:.2e} of {self.magnitude:.1f}, {choice}"


def difference(of: str, got: Array, want: Tensor) -> Difference:
    """got: of any shape with as many numbers as `want`."""
    wanted = want.numpy().reshape(got.shape)
    same = bool((got.argmax(-1) == wanted.argmax(-1)).all())
    return Difference(of, float(np.abs(got - wanted).max()), float(np.abs(wanted).max()), same)
