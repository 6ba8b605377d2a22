"""What a GGUF file says about its model: the header only, whatever the size of the weights.

Format: ggml's docs/gguf.md, versions 2 and 3, little-endian. Everything read is checked against the file's size,
because files come from strangers. Arrays (the vocabulary) are counted and skipped.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from results.errors import UsageError

MAGIC = b"GGUF"
STRING, ARRAY = 8, 9
SCALARS: Mapping[int, str] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
MOST = 1 << 20
"""More keys than any model has; a larger count is damage."""

FILE_TYPES: Mapping[int, str] = {
    0: "float32", 1: "float16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS",
    20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
    28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "bfloat16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip
"""`general.file_type` -> name (llama.h, enum llama_ftype); the unquantised ones by their dtype's name."""

Value = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Model:
    """The header of one file."""

    path: Path
    keys: Mapping[str, Value]
    lengths: Mapping[str, int]
    """Arrays: how many elements each has."""
    size: int
    """Bytes of the whole file."""

    @property
    def architecture(self) -> str:
        return str(self.keys.get("general.architecture", "unknown"))

    @property
    def dtype(self) -> str:
        """`float32`, `bfloat16`, `float16`, or llama.cpp's name of the quantisation, e.g. `Q4_K_M`."""
        kind = self.keys.get("general.file_type")
        return FILE_TYPES.get(kind, f"type {kind}") if isinstance(kind, int) else "unknown"

    @property
    def vocab_size(self) -> int | None:
        return self.lengths.get("tokenizer.ggml.tokens")

    def number(self, key: str) -> int | None:
        """An integer of this architecture, e.g. `context_length`."""
        value = self.keys.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) else None


def read(path: str) -> Model:
    """The header of a GGUF file. Raises UsageError, in one line, where it is none."""
    file = Path(path).expanduser()
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            keys, lengths = _Reader(stream, size).header()
    except (OSError, ValueError, struct.error) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "it ends too early"
        raise UsageError(f"{path} is no GGUF model file: {said}; name a .gguf file that llama.cpp can load") from error
    return Model(file, keys, lengths, size)


class _Reader:
    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._size = stream, size

    def header(self) -> tuple[dict[str, Value], dict[str, int]]:
        if self._take(4) != MAGIC:
            raise ValueError("it does not begin with GGUF")
        version = self._scalar("I")
        if version not in (2, 3):
            raise ValueError(f"GGUF version {version} is not known")
        self._scalar("Q")  # tensors
        count = self._count()
        keys: dict[str, Value] = {}
        lengths: dict[str, int] = {}
        for _ in range(count):
            key, kind = self._string(), int(self._scalar("I"))
            if kind == ARRAY:
                lengths[key] = self._skip_array()
            else:
                keys[key] = self._value(kind)
        return keys, lengths

    def _value(self, kind: int) -> Value:
        if kind == STRING:
            return self._string()
        if kind not in SCALARS:
            raise ValueError(f"value type {kind} is not known")
        return self._scalar(SCALARS[kind])

    def _skip_array(self) -> int:
        kind, length = int(self._scalar("I")), self._count(self._size)
        if kind in SCALARS:
            self._take(length * struct.calcsize(SCALARS[kind]), keep=False)
        elif kind == STRING:
            for _ in range(length):
                self._take(self._count(self._size), keep=False)
        else:
            raise ValueError(f"arrays of type {kind} are not known")
        return length

    def _string(self) -> str:
        return self._take(self._count(self._size)).decode("utf-8", "replace")

    def _count(self, most: int = MOST) -> int:
        count = int(self._scalar("Q"))
        if count > most:
            raise ValueError(f"a count of {count:,} is more than it can hold")
        return count

    def _scalar(self, code: str) -> int | float | bool:
        value: int | float | bool = struct.unpack(f"<{code}", self._take(struct.calcsize(code)))[0]
        return value

    def _take(self, count: int, *, keep: bool = True) -> bytes:
        if self._stream.tell() + count > self._size:
            raise ValueError("it ends too early")
        if keep:
            return self._stream.read(count)
        self._stream.seek(count, 1)
        return b""
