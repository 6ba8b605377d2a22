"""Blobs, text and JSON as the run file holds them.

Every inverse raises one of `MALFORMED` where it meets something else than what was written: run files come from
strangers.
"""

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from results.records import Json

MALFORMED = (ValueError, TypeError, KeyError, OverflowError, RecursionError, struct.error)

MAX_DEPTH = 100
"""Of nested JSON: deep enough for any engine's words, and harmless to whatever walks them."""


def pack_ids(ids: Sequence[int]) -> bytes:
    """Token ids as little-endian int32."""
    return struct.pack(f"<{len(ids)}i", *ids)


def unpack_ids(blob: bytes) -> tuple[int, ...]:
    """Inverse of `pack_ids`."""
    return struct.unpack(f"<{len(blob) // 4}i", blob)


def pack_pairs(pairs: Sequence[tuple[int, int]]) -> bytes:
    """Pairs of integers as little-endian int64, one after the other."""
    return struct.pack(f"<{2 * len(pairs)}q", *(number for pair in pairs for number in pair))


def unpack_pairs(blob: bytes) -> list[tuple[int, int]]:
    """Inverse of `pack_pairs`."""
    flat = struct.unpack(f"<{len(blob) // 16 * 2}q", blob)
    return list(zip(flat[::2], flat[1::2], strict=True))


SCORE_NUMBERS = 7
"""Of every scored token: logit, best logit, log p, best log p, entropy, variance, mass above."""


def pack_numbers(rows: Sequence[Sequence[float | None]]) -> bytes:
    """Rows of numbers as little-endian float64, one after the other; None, and nothing else, is stored as NaN."""
    flat = [math.nan if number is None else number for row in rows for number in row]
    return struct.pack(f"<{len(flat)}d", *flat)


def unpack_numbers(blob: bytes, width: int) -> list[tuple[float | None, ...]]:
    """Inverse of `pack_numbers` for rows of `width` numbers."""
    flat = [None if math.isnan(number) else number for number in struct.unpack(f"<{len(blob) // 8}d", blob)]
    return [tuple(flat[start : start + width]) for start in range(0, len(flat), width)]


def storable(value: Any) -> Any:
    """`value`, with lone surrogates replaced by U+FFFD: SQLite holds UTF-8, and a runtime may stream broken text."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return value


def to_json(value: Any) -> str:
    """Compact JSON of plain values, mappings, tuples and dataclasses."""
    return json.dumps(_plain(value), separators=(",", ":"))


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def json_value(text: str) -> Json:
    """Inverse of `to_json` for plain values; ValueError where it nests deeper than `MAX_DEPTH`."""
    value: Json = json.loads(text)
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value, MAX_DEPTH)
    return value


def _check_depth(value: Json, left: int) -> None:
    if isinstance(value, (dict, list)):
        if left == 0:
            raise ValueError(f"JSON nests deeper than {MAX_DEPTH}")
        for item in value.values() if isinstance(value, dict) else value:
            _check_depth(item, left - 1)


def json_object(text: str) -> dict[str, Json]:
    """Parse a JSON column that holds an object."""
    value = json_value(text)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, not {text[:40]!r}")
    return value


def json_list(text: str, kind: type) -> tuple[Any, ...]:
    """Parse a JSON column that holds a list of `kind`."""
    value = json_value(text)
    if not isinstance(value, list) or not all(type(item) is kind for item in value):
        raise ValueError(f"expected a JSON list of {kind.__name__}, not {text[:40]!r}")
    return tuple(value)


def json_record(
    text: str, kinds: Mapping[str, tuple[type, ...]], defaults: Mapping[str, Json] | None = None
) -> dict[str, Any]:
    """A JSON object with exactly these keys, each value of one of the kinds named for it.

    defaults: values of keys that older files lack.
    """
    value = {**(defaults or {}), **json_object(text)}
    if value.keys() != kinds.keys():
        raise ValueError(f"expected the keys {', '.join(kinds)}")
    for key, kind in kinds.items():
        if type(value[key]) not in kind:
            raise ValueError(f"{key} is {str(value[key])[:40]!r}")
    return value
