"""Synthetic acceptance: how likely each draft is kept, whatever the target says. For studies of cost only.

It is given as a rate, a list of conditional rates, an acceptance length, or a file. An acceptance length AL is reached
with one conditional rate a for every position, 1 + a + a^2 + ... + a^k = AL, as llama.cpp does it; vLLM and SGLang keep
whole drafts up to AL and one more with the fraction's probability, which spreads less about the same mean.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from backends.options import Options
from results.errors import UsageError
from results.records import Json

OPTIONS = ("acceptance", "acceptance_length", "acceptance_file")
"""Ways to say one thing."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The probability of keeping draft i where those before it were kept; beyond its end the last one holds."""

    conditional: tuple[float, ...]

    def of(self, k: int) -> tuple[float, ...]:
        return (*self.conditional, *[self.conditional[-1]] * k)[:k]


@dataclass(frozen=True, slots=True)
class Length:
    """An acceptance length for every draft length."""

    tokens: float

    def of(self, k: int) -> tuple[float, ...]:
        """Raises UsageError where k drafts cannot give it."""
        return (conditional_rate(self.tokens, k),) * k


@dataclass(frozen=True, slots=True)
class Curve:
    """Acceptance lengths by draft length."""

    source: str
    lengths: Mapping[int, float]

    def of(self, k: int) -> tuple[float, ...]:
        """Raises UsageError where the curve does not know k, or k drafts cannot give what it says."""
        if k not in self.lengths:
            known = ", ".join(map(str, sorted(self.lengths)))
            raise UsageError(f"{self.source} holds no acceptance length for k = {k}: it has {known}")
        return (conditional_rate(self.lengths[k], k),) * k


Acceptance = Rates | Length | Curve


def conditional_rate(length: float, k: int) -> float:
    """The a with 1 + a + ... + a^k = length, by bisection. Raises UsageError where none is in 0..1."""
    if not 1 <= length <= k + 1:
        raise UsageError(f"acceptance length {length:g} cannot be had at k = {k}: a round gives 1 to {k + 1} tokens")
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if sum(middle**i for i in range(k + 1)) < length:
            low = middle
        else:
            high = middle
    return high


# ------------------------------------------------------------------------------------------------------ options


def asked(given: Mapping[str, Json]) -> Acceptance | None:
    """What is forced, by whichever option says so; the engine's other options are left unread. Raises UsageError."""
    options = Options("reference", {name: given[name] for name in OPTIONS if name in given}, OPTIONS)
    said = [name for name in OPTIONS if name in options]
    if len(said) > 1:
        raise UsageError(f"reference.{said[0]} and reference.{said[1]} say the same thing twice: give one of them")
    if "acceptance_file" in options:
        return read(options.text("acceptance_file") or "")
    if "acceptance_length" in options:
        length = given["acceptance_length"]
        if not _is_number(length) or length < 1:
            raise options.wrong("acceptance_length", "tokens per round, at least 1")
        return Length(float(length))
    return _rates(options, given["acceptance"]) if "acceptance" in options else None


def beyond_reach(given: Mapping[str, Json], lengths: Iterable[int]) -> dict[int, str]:
    """Draft length -> why the acceptance that is asked for cannot be had there. Raises UsageError for what is none."""
    acceptance = asked(given)
    found: dict[int, str] = {}
    if acceptance is None:
        return found
    for k in lengths:
        try:
            acceptance.of(k)
        except UsageError as error:
            found[k] = str(error)
    return found


def _rates(options: Options, value: Json) -> Rates:
    """A rate for every draft, or a list with one for each position."""
    rates = value if isinstance(value, list) else [value]
    numbers = [float(rate) for rate in rates if _is_number(rate) and 0 <= rate <= 1]
    if not rates or len(numbers) != len(rates):
        raise options.wrong("acceptance", "a rate in 0..1, or a list of them, one per draft position")
    return Rates(tuple(numbers))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


# -------------------------------------------------------------------------------------------------------- files


def read(text: str) -> Acceptance:
    """Of `FILE` or `FILE#CURVE`, in YAML or JSON. Raises UsageError, in one line.

    What is understood: golden acceptance-length curves (InferenceX: {model: {thinking_on: {k: AL}}}; CURVE chooses
    where there are several, e.g. `#thinking_on`), and vLLM's speculative config with `synthetic_acceptance_length`, or
    `synthetic_acceptance_rates`: per position the probability that it and all before it are accepted.
    """
    name, _, wanted = text.partition("#")
    content = _content(Path(name).expanduser(), name)
    stated = [*_stated(content, name)]
    if stated:
        return stated[0]
    curves = dict(_curves(content, name, ()))
    chosen = {path: curve for path, curve in curves.items() if set(filter(None, wanted.split("/"))) <= set(path)}
    if len(chosen) == 1:
        return next(iter(chosen.values()))
    if not curves:
        raise UsageError(f"{name} holds no acceptance: expected curves of k and acceptance length, or vLLM's settings")
    known = ", ".join(name + "#" + "/".join(path) for path in curves)
    raise UsageError(f"{text}: {len(chosen) or 'no'} curves of that name: choose one of {known}")


def _content(path: Path, name: str) -> object:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{name} is neither YAML nor JSON: {' '.join(str(error).split())}") from error


def _mappings(content: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    """Every mapping and where it is, the outermost first; what begins with _ is about the file."""
    if not isinstance(content, Mapping):
        return
    yield path, content
    for key, value in content.items():
        if not str(key).startswith("_"):
            yield from _mappings(value, (*path, str(key)))


def _stated(content: object, name: str) -> Iterator[Acceptance]:
    for _, found in _mappings(content, ()):
        if (length := found.get("synthetic_acceptance_length")) is not None:
            yield Length(_number(length, name, "synthetic_acceptance_length", lambda x: x >= 1))
        if (rates := found.get("synthetic_acceptance_rates")) is not None:
            yield Rates(_conditional(rates, name))


def _conditional(joint: object, name: str) -> tuple[float, ...]:
    """P(draft i accepted | all before it), from P(draft i and all before it accepted)."""
    key = "synthetic_acceptance_rates"
    rates = [_number(rate, name, key, lambda x: 0 <= x <= 1) for rate in joint] if isinstance(joint, list) else []
    if not rates or rates != sorted(rates, reverse=True):
        raise UsageError(f"{name}: {key}: expected rates that do not rise, one per position, not {joint!r}")
    return tuple(rate / before if before else 0.0 for before, rate in zip([1.0, *rates], rates, strict=False))


def _curves(content: object, name: str, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Curve]]:
    """Mappings with nothing but draft lengths as keys."""
    for where, found in _mappings(content, path):
        if found and all(str(key).isdecimal() for key in found):
            source = "#".join(filter(None, (name, "/".join(where))))
            lengths = {int(k): _number(al, source, f"k = {k}", lambda x: x >= 1) for k, al in found.items()}
            yield where, Curve(source, lengths)


def _number(value: object, name: str, key: str, holds: Callable[[float], bool]) -> float:
    if _is_number(value) and holds(value):
        return float(value)
    raise UsageError(f"{name}: {key}: expected an acceptance length of at least 1, or a rate in 0..1, not {value!r}")
