"""Records as JSON and back, strict both ways: an unknown field, a missing one or a wrong type is an error.

One codec is compiled per type and kept, so that a generation with thousands of arrivals costs milliseconds.
Standard library only; worker and parent may run different interpreters, which must agree on every field.
"""

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from results.records import Json

__all__ = ["WireError", "from_json", "to_json"]

T = TypeVar("T")


class WireError(ValueError):
    """What arrived is not what was agreed on. `path` leads to it, e.g. `Generation.rounds[3].drafted`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path

    def under(self, prefix: str) -> "WireError":
        """The same error, seen from one level further out."""
        return WireError(self.message, prefix + self.path)


def to_json(value: object, kind: Any = None) -> Json:
    """A dataclass as JSON values, or a `kind` (say `tuple[Encoded, ...]`) that is declared where it is sent.

    Raises WireError where a field does not hold what it declares.
    """
    declared: Any = type(value) if kind is None else kind
    encoded: Json = _at(_name(declared), _codec(declared).encode, value)
    return encoded


def from_json(kind: type[T], data: Json) -> T:
    """A `kind` from JSON values. Raises WireError."""
    declared: Any = kind
    decoded: T = _at(_name(declared), _codec(declared).decode, data)
    return decoded


def _name(kind: Any) -> str:
    return kind.__name__ if is_dataclass(kind) and isinstance(kind, type) else ""


# ------------------------------------------------------------------------------------------------ codecs


@dataclass(frozen=True, slots=True)
class _Codec:
    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]


def _at(where: str, step: Callable[[Any], Any], value: Any) -> Any:
    try:
        return step(value)
    except WireError as error:
        raise error.under(where) from None


def _wrong(expected: str, value: object) -> WireError:
    return WireError(f"expected {expected}, not {type(value).__name__} {value!r:.60}")


def _same(check: Callable[[Any], Any]) -> _Codec:
    return _Codec(check, check)


def _exactly(kind: type) -> _Codec:
    def check(value: Any) -> Any:
        if type(value) is not kind:
            raise _wrong(kind.__name__, value)
        return value

    return _same(check)


def _float(value: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise _wrong("float", value)
    return float(value)


def _json(value: Any) -> Any:
    """JSON values as they are; anything else (a tuple, a numpy number) is refused rather than changed."""
    if type(value) is dict:
        return {_key(name): _at(f".{name}", _json, item) for name, item in value.items()}
    if type(value) is list:
        return [_json(item) for item in value]
    if value is not None and type(value) not in (bool, int, float, str):
        raise _wrong("JSON", value)
    return value


def _key(name: Any) -> str:
    if type(name) is not str:
        raise _wrong("str as a key", name)
    return name


def _literal(choices: tuple[object, ...]) -> _Codec:
    def check(value: Any) -> Any:
        if value not in choices or type(value) is bool:
            raise _wrong("one of " + ", ".join(map(repr, choices)), value)
        return value

    return _same(check)


def _optional(inner: _Codec) -> _Codec:
    return _Codec(
        lambda value: None if value is None else inner.encode(value),
        lambda value: None if value is None else inner.decode(value),
    )


def _each(step: Callable[[Any], Any], values: Any, outside: type[tuple[Any, ...]] | type[list[Any]]) -> list[Any]:
    if type(values) is not outside:
        raise _wrong(outside.__name__, values)
    done: list[Any] = []
    try:
        for value in values:
            done.append(step(value))
    except WireError as error:
        raise error.under(f"[{len(done)}]") from None
    return done


def _tuple(inner: _Codec) -> _Codec:
    return _Codec(
        lambda value: _each(inner.encode, value, tuple),
        lambda value: tuple(_each(inner.decode, value, list)),
    )


def _mapping(inner: _Codec) -> _Codec:
    def through(step: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
        def walk(value: Any) -> dict[str, Any]:
            if not isinstance(value, Mapping):
                raise _wrong("mapping", value)
            return {_key(name): _at(f".{name}", step, item) for name, item in value.items()}

        return walk

    return _Codec(through(inner.encode), through(inner.decode))


def _dataclass(kind: type) -> _Codec:
    declared: dict[str, Any] = {field.name: field.type for field in fields(kind)}
    codecs = {name: _codec(one) for name, one in declared.items()}
    encoders = [(name, codec.encode) for name, codec in codecs.items()]
    decoders = {name: codec.decode for name, codec in codecs.items()}

    def encode(record: Any) -> dict[str, Any]:
        if type(record) is not kind:
            raise _wrong(kind.__name__, record)
        encoded = {}
        for name, step in encoders:
            try:
                encoded[name] = step(getattr(record, name))
            except WireError as error:
                raise error.under(f".{name}") from None
        return encoded

    def decode(data: Any) -> Any:
        if type(data) is not dict:
            raise _wrong(f"{kind.__name__} as an object", data)
        if data.keys() != decoders.keys():
            unknown, missing = sorted(data.keys() - decoders.keys()), sorted(decoders.keys() - data.keys())
            raise WireError(f"unknown fields {unknown}, missing fields {missing} of {kind.__name__}")
        values = {}
        for name, value in data.items():
            try:
                values[name] = decoders[name](value)
            except WireError as error:
                raise error.under(f".{name}") from None
        try:
            return kind(**values)
        except ValueError as error:  # the record's own check
            raise WireError(str(error)) from error

    return _Codec(encode, decode)


@cache
def _codec(kind: Any) -> _Codec:
    """How a declared type travels. Raises TypeError for one that the records have no use for."""
    origin, args = get_origin(kind), get_args(kind)
    if kind == Json:
        return _same(_json)
    if kind in (str, int, bool, type(None)):
        return _exactly(kind)
    if kind is float:
        return _same(_float)
    if is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind)
    if origin is Literal:
        return _literal(args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _tuple(_codec(args[0]))
    if origin is Mapping and args[0] is str:
        return _mapping(_codec(args[1]))
    if origin in (Union, types.UnionType) and len(args) == 2 and type(None) in args:
        return _optional(_codec(args[0] if args[1] is type(None) else args[1]))
    raise TypeError(f"no way to send {kind!r} over the wire")
