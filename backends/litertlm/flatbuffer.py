"""Just enough of FlatBuffers to read a bundle's header and a TFLite model's signatures, with the standard library.

A table is a position; its first word leads back to a vtable, which holds the offset of each field, 0 where it is
absent. Strings, vectors and tables are referred to by offsets from where the reference stands. Little-endian.
Source: https://flatbuffers.dev/internals/.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Self

Data = mmap | bytes
WORD = 4


@dataclass(frozen=True, slots=True)
class Table:
    """A table inside `data`. Reading raises struct.error where an offset leads out of the data."""

    data: Data
    at: int

    @classmethod
    def root(cls, data: Data, start: int) -> Self:
        """The root table of the FlatBuffer that starts there."""
        return cls(data, _follow(data, start))

    def number(self, field: int, format_: str) -> int:
        """A scalar, 0 where absent (every default in the schemas read here). format_: as `struct` writes it."""
        at = self._field(field)
        return 0 if at is None else _read(self.data, at, format_)

    def table(self, field: int) -> Self | None:
        """A table, None where absent."""
        at = self._field(field)
        return None if at is None else type(self)(self.data, _follow(self.data, at))

    def tables(self, field: int) -> Iterator[Self]:
        """The tables of a vector."""
        for at in self._elements(field):
            yield type(self)(self.data, _follow(self.data, at))

    def numbers(self, field: int, format_: str) -> tuple[int, ...]:
        """A vector of 4-byte scalars."""
        return tuple(_read(self.data, at, format_) for at in self._elements(field))

    def length(self, field: int) -> int:
        """How many elements a vector has, whatever they are; 0 where it is absent."""
        at = self._field(field)
        return 0 if at is None else _read(self.data, _follow(self.data, at), "<I")

    def text(self, field: int) -> str:
        """A string, empty where absent."""
        at = self._field(field)
        if at is None:
            return ""
        start = _follow(self.data, at)
        return self.data[start + WORD : start + WORD + _read(self.data, start, "<I")].decode("utf-8", "replace")

    def _field(self, field: int) -> int | None:
        vtable = self.at - _read(self.data, self.at, "<i")
        entry = 2 * (2 + field)  # after the sizes of vtable and table
        if entry >= _read(self.data, vtable, "<H"):
            return None
        offset = _read(self.data, vtable + entry, "<H")
        return self.at + offset if offset else None

    def _elements(self, field: int) -> range:
        at = self._field(field)
        if at is None:
            return range(0)
        start = _follow(self.data, at)
        count = _read(self.data, start, "<I")
        if start + WORD * (count + 1) > len(self.data):
            raise struct.error(f"a vector of {count} elements leads out of the data")
        return range(start + WORD, start + WORD * (count + 1), WORD)


def _follow(data: Data, at: int) -> int:
    return at + _read(data, at, "<I")


def _read(data: Data, at: int, format_: str) -> int:
    if not 0 <= at < len(data):
        raise struct.error(f"an offset leads out of the data, to {at}")
    value: int
    (value,) = struct.unpack_from(format_, data, at)
    return value
