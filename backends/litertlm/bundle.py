"""What a .litertlm bundle says about itself, read without the runtime: above all the draft length baked into it.

The file: `LITERTLM`, version, the end of the header (u64 at byte 24), a FlatBuffer from byte 32 that lists sections by
model type and place, and the sections, of which each TFLite model is a FlatBuffer of its own. The target's signature
`verify` takes the last token and all drafts of a round, so it is k + 1 wide; no option of the runtime changes that.
Sources: LiteRT-LM's schema/core/litertlm_header_schema.fbs, TensorFlow's lite/schema/schema.fbs.
"""

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path

from backends.litertlm.flatbuffer import Data, Table

MAGIC = b"LITERTLM"
HEADER_END, HEADER = 24, 32
SUFFIX = ".litertlm"

TARGET = "tf_lite_prefill_decode"
DRAFTER = "tf_lite_mtp_drafter"
VERIFY = "verify"
POSITIONS = "input_pos"
"""The input of `verify` that has one number per token."""

STRING_VALUE = 9
"""In the header's union of values."""
TYPES = {0: "float32", 1: "float16", 9: "int8", 17: "int4", 18: "bfloat16", 19: "int2"}
"""TFLite's tensor types that weights have."""


@dataclass(frozen=True, slots=True)
class Section:
    """One file inside the bundle."""

    kind: str
    """Its model type, empty for what is no model."""
    start: int
    end: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle's header and its target's signatures."""

    sections: tuple[Section, ...]
    draft_length: int | None
    """Drafts per round, fixed at export; None where no signature verifies drafts."""
    weights: str | None
    """The type that most of the target's weights have; None where they lie elsewhere."""

    @property
    def drafter(self) -> Section | None:
        """The MTP section; None where there is none."""
        return next((section for section in self.sections if section.kind == DRAFTER), None)

    @property
    def target_bytes(self) -> int:
        """All models but the drafter: the target and its embedders."""
        return sum(section.size for section in self.sections if section.kind and section.kind != DRAFTER)


def read(path: Path) -> Bundle:
    """Raises OSError where the file cannot be read, ValueError where it is no bundle."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{path} is no LiteRT-LM bundle: it does not begin with {MAGIC.decode()}")
        with mmap(file.fileno(), 0, access=ACCESS_READ) as data:
            try:
                return _read(data)
            except (struct.error, IndexError) as error:
                raise ValueError(f"{path} is damaged: {error}") from error


def baked_in(path: Path) -> int | None:
    """Drafts per round of a bundle; None where it has no drafter, or does not tell. Raises as `read` does."""
    found = read(path)
    return found.draft_length if found.drafter else None


def _read(data: Data) -> Bundle:
    (end,) = struct.unpack_from("<Q", data, HEADER_END)
    sections = tuple(_sections(Table.root(data[HEADER:end], 0)))
    models = [Table.root(data, section.start) for section in sections if section.kind == TARGET]
    widths = [width for model in models for width in _verify_widths(model)]
    return Bundle(
        sections,
        draft_length=widths[0] - 1 if widths and widths[0] > 1 else None,
        weights=next((found for model in models if (found := _weights(model))), None),
    )


def _sections(header: Table) -> Iterator[Section]:
    listed = header.table(1)
    for section in listed.tables(0) if listed else ():
        named = {pair.text(0): pair for pair in section.tables(0)}
        kind = named.get("model_type")
        value = kind.table(2) if kind and kind.number(1, "<B") == STRING_VALUE else None
        yield Section(value.text(0) if value else "", section.number(1, "<Q"), section.number(2, "<Q"))


def _verify_widths(model: Table) -> Iterator[int]:
    """Tokens that a pass of the signature `verify` takes."""
    graphs = [*model.tables(2)]
    for signature in model.tables(7):
        if signature.text(2) != VERIFY:
            continue
        tensors = [*graphs[signature.number(4, "<I")].tables(0)]
        for argument in signature.tables(0):
            if argument.text(0) == POSITIONS and (shape := tensors[argument.number(1, "<I")].numbers(0, "<i")):
                yield shape[-1]


def _weights(model: Table) -> str | None:
    """The type with the most elements among constant matrices."""
    filled = [bool(buffer.length(0) or buffer.number(2, "<Q")) for buffer in model.tables(4)]
    elements: Counter[str] = Counter()
    for graph in model.tables(2):
        for tensor in graph.tables(0):
            shape, kind = tensor.numbers(0, "<i"), TYPES.get(tensor.number(1, "<b"))
            if kind and len(shape) > 1 and filled[tensor.number(2, "<I")]:
                size = 1
                for length in shape:
                    size *= length
                elements[kind] += size
    return elements.most_common(1)[0][0] if elements else None
