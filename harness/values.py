"""Values as people write them in sweep files and flags: `1-6`, `5m`, `2%`, `key=value`.

Every parser takes what TOML or the command line gives and raises ValueError for what it does not understand;
`harness.sweep` turns that into the one line that names file, key and expectation.
"""

import re
import tomllib

from results.records import Json

_DURATION = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}
_BYTES = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30,
          "TIB": 2**40}  # fmt: skip
_MOST_OF_A_RANGE = 1024
"""A slip such as 1-10000000 should be an error, not a plan that fills the memory."""


def as_list(value: object) -> list[object]:
    """One value, a comma-separated string, or a list of them, as a flat list; empty parts are an error."""
    parts: list[object] = []
    for item in value if isinstance(value, list | tuple) else [value]:
        if isinstance(item, str):
            parts += [part.strip() for part in item.split(",")]
        else:
            parts.append(item)
    if not parts or "" in parts:
        raise ValueError("empty")
    return parts


def names(value: object) -> tuple[str, ...]:
    """Distinct names in the order given: "a" or ["a", "b"]. No commas, since a name may be a path."""
    parts = value if isinstance(value, list | tuple) else [value]
    if not parts or not all(isinstance(part, str) and part.strip() for part in parts):
        raise ValueError("not a list of names")
    return tuple(dict.fromkeys(str(part).strip() for part in parts))


def whole(value: object) -> int:
    """A whole number, from an int or a string of digits (never from a bool or a float)."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("not a whole number")
    return int(value)


def wholes(value: object) -> tuple[int, ...]:
    """Distinct whole numbers, ascending: 3, "1-6", "1,2,4", "1-3,8", [1, 2, "4-6"]."""
    found: set[int] = set()
    for part in as_list(value):
        if isinstance(part, str) and (span := re.fullmatch(r"(\d+)\s*-\s*(\d+)", part)):
            low, high = int(span[1]), int(span[2])
            if not low <= high < low + _MOST_OF_A_RANGE:
                raise ValueError("not a range")
            found.update(range(low, high + 1))
        else:
            found.add(whole(part))
    return tuple(sorted(found))


def lengths(value: object) -> tuple[int | None, ...]:
    """Prompt lengths: whole numbers, or `own` (stored as None) for every prompt's own length."""
    parts = as_list(value)
    own = [part for part in parts if part in ("own", None)]
    numbers = [part for part in parts if part not in ("own", None)]
    return (*([None] if own else []), *(wholes(numbers) if numbers else ()))


def number(value: object) -> float:
    """A finite number, from an int, a float or a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    result = float(value)
    if not abs(result) < float("inf"):
        raise ValueError("not a finite number")
    return result


def numbers(value: object) -> tuple[float, ...]:
    """Distinct numbers, ascending: 0, "0,0.8", [0, 0.8]."""
    return tuple(sorted({number(part) for part in as_list(value)}))


def fraction(value: object) -> float:
    """A share: 0.02 or "2%"."""
    if isinstance(value, str) and value.strip().endswith("%"):
        return number(value.strip()[:-1]) / 100
    return number(value)


def size(text: str) -> float:
    """A size in bytes: "24GB", "8 GiB", "512MB", or a bare number."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]I?B)?\s*", text, re.IGNORECASE)
    if match is None:
        raise ValueError("not a size")
    return float(match[1]) * _BYTES[(match[2] or "").upper()]


def seconds(value: object) -> float:
    """A duration in seconds: 90, "90s", "5m", "1h30m"."""
    if isinstance(value, str) and not re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        match = _DURATION.fullmatch(value.strip().replace(" ", ""))
        if match is None or not any(match.groupdict().values()):
            raise ValueError("not a duration")
        return sum(float(amount) * _SECONDS[unit] for unit, amount in match.groupdict().items() if amount)
    return number(value)


def option(text: str) -> tuple[str, str, Json]:
    """`BACKEND.option=value` as (backend, option, value); the value is read as TOML, else taken as a string."""
    path, equals, raw = text.partition("=")
    backend, dot, key = path.strip().partition(".")
    if not (equals and dot and backend and key):
        raise ValueError("not BACKEND.option=value")
    try:
        value = tomllib.loads(f"value = {raw.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        value = raw.strip()
    return backend, key, value
