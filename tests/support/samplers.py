"""Samplers whose distributions are known: tokens of speculative rounds, drawn without any model.

A `Pool` holds next-token distributions p of a target and q of a drafter; every position of every simulated output takes
one of them at random. Tokens are numbered from the target's most probable one on, so token 0 is its favourite.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from results.draws import Draws

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
VOCABULARY = 50
CONTEXTS = 500
K = 4
"""Draft length of every sampler."""


@dataclass(frozen=True, eq=False)
class Pool:
    """p and q, (contexts, tokens), and what a scorer tells of p."""

    p: Floats
    q: Floats

    def draws(self, context: Ints, token: Ints) -> Draws:
        """What scores would tell of these tokens at these contexts."""
        log = np.log(self.p)
        entropy = -(self.p * log).sum(1)
        variance = (self.p * (log + entropy[:, None]) ** 2).sum(1)
        above = np.cumsum(self.p, 1) - self.p
        return Draws(log[context, token], log[context, 0], entropy[context], variance[context], above[context, token])


def pool(low: float, high: float, surer: float = 1.0) -> Pool:
    """Logits are normal with a spread anywhere between `low` and `high`.

    The drafter's are the target's, disturbed, times `surer`.
    """
    rng = np.random.default_rng(0)
    spread = rng.uniform(low, high, (CONTEXTS, 1))
    logits = -np.sort(-rng.normal(size=(CONTEXTS, VOCABULARY)), axis=1)
    return Pool(_softmax(spread * logits), _softmax(surer * spread * (logits + 0.4 * rng.normal(size=logits.shape))))


def _softmax(logits: Floats) -> Floats:
    p = np.exp(logits - logits.max(1, keepdims=True))
    result: Floats = p / p.sum(1, keepdims=True)
    return result


@dataclass(frozen=True, eq=False)
class Outputs:
    """(cells, tokens) each."""

    context: Ints
    token: Ints
    drafted: NDArray[np.bool_]
    """The token stands in the place of a draft; elsewhere it is a bonus."""
    accepted: NDArray[np.bool_]
    """The draft itself was taken."""


Judge = Callable[[np.random.Generator, Floats, Floats], tuple[Ints, NDArray[np.bool_]]]
"""(rng, p, q) of each cell's position -> the token that a draft gives, and whether the draft was accepted."""


def sample(found: Pool, judge: Judge, cells: int, tokens: int, seed: int) -> Outputs:
    """`cells` outputs of `tokens` tokens each, in rounds of up to `K` drafts and a bonus."""
    rng = np.random.default_rng(seed)
    context = rng.integers(CONTEXTS, size=(cells, tokens))
    token, place = np.zeros_like(context), np.zeros(cells, dtype=np.int64)
    drafted, accepted = np.zeros(context.shape, dtype=bool), np.zeros(context.shape, dtype=bool)
    for t in range(tokens):
        p, q = found.p[context[:, t]], found.q[context[:, t]]
        judged, taken = judge(rng, p, q)
        drafted[:, t] = place < K
        accepted[:, t] = taken & drafted[:, t]
        token[:, t] = np.where(drafted[:, t], judged, _draw(rng, p))
        place = np.where(accepted[:, t], place + 1, 0)
    return Outputs(context, token, drafted, accepted)


def own(found: Pool, cells: int, tokens: int, seed: int) -> tuple[Ints, Ints]:
    """(contexts, tokens) of the target's own draws, (cells, tokens) each."""
    rng = np.random.default_rng(seed)
    context = rng.integers(CONTEXTS, size=(cells, tokens))
    return context, np.stack([_draw(rng, found.p[each]) for each in context])


def _draw(rng: np.random.Generator, p: Floats) -> Ints:
    """One token from each row, which need not add up to 1."""
    up_to = np.cumsum(p, axis=1)
    found: Ints = (rng.random((len(p), 1)) * up_to[:, -1:] > up_to).sum(1)
    return found


def _probability(p: Floats, token: Ints) -> Floats:
    found: Floats = np.take_along_axis(p, token[:, None], 1)[:, 0]
    return found


# ------------------------------------------------------------------------------------------------------ correct


def favourite_drafts(rng: np.random.Generator, p: Floats, q: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """The drafter's favourite d, accepted with p(d); else a draw from p without d. Every token x keeps p(x)."""
    d = q.argmax(1)
    accepted = rng.random(len(p)) < _probability(p, d)
    rest = p.copy()
    np.put_along_axis(rest, d[:, None], 0, 1)
    return np.where(accepted, d, _draw(rng, rest)), accepted


def drawn_drafts(rng: np.random.Generator, p: Floats, q: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """Drafts d from q, accepted with min(1, p(d) / q(d)); else a draw from (p - q)+ (Leviathan et al. 2023)."""
    return _judged(rng, p, q, _draw(rng, q))


# ------------------------------------------------------------------------------------------------------ biased


def favourites_as_if_drawn(rng: np.random.Generator, p: Floats, q: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """The drafter's favourite, judged as if it had been drawn from q: Transformers' assisted sampling."""
    return _judged(rng, p, q, q.argmax(1))


def leaning(share: float) -> Judge:
    """Correct, but for one token in 1 / share, which is the target's favourite whatever was drawn."""

    def judge(rng: np.random.Generator, p: Floats, q: Floats) -> tuple[Ints, NDArray[np.bool_]]:
        token, accepted = drawn_drafts(rng, p, q)
        return np.where(rng.random(len(p)) < share, 0, token), accepted

    return judge


def at_temperature(temperature: float) -> Judge:
    """Draws from p at another temperature."""

    def judge(rng: np.random.Generator, p: Floats, q: Floats) -> tuple[Ints, NDArray[np.bool_]]:
        return _draw(rng, p ** (1 / temperature)), np.ones(len(p), dtype=bool)

    return judge


def _judged(rng: np.random.Generator, p: Floats, q: Floats, d: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    accepted = rng.random(len(p)) * _probability(q, d) < _probability(p, d)
    return np.where(accepted, d, _draw(rng, np.maximum(p - q, 0) + 1e-300)), accepted
