"""The demo pair's bundle as the tests of LiteRT-LM open it, and bundles that end a text at another token."""

from pathlib import Path

from results.records import EngineConfig, Pair

BUNDLE = Path(__file__).parents[2] / "workloads" / "data" / "formats" / "demo" / "demo.litertlm"
PAIR = Pair("demo", str(BUNDLE), str(BUNDLE))
ENGINE = EngineConfig(dtype="float32", device="cpu", threads=1, methods=("mtp",))

A_STOP = b"\x12\t)<turn|>\n"
"""One of the bundle's stop sequences, as its metadata (a protocol buffer) writes it: field 2, 9 bytes."""
ITS_PLACE = b"\x0a\x09\x0a\x07"
"""A list of token ids in the same place: field 1, 9 bytes, of which 7 are packed numbers."""


def stopping_at(token: int, path: Path) -> Pair:
    """The bundle, ending texts at this token too; written to `path`."""
    padded = bytes((token >> 7 * i) & 0x7F | 0x80 for i in range(6)) + b"\0"  # one number in 7 bytes
    path.write_bytes(BUNDLE.read_bytes().replace(A_STOP, ITS_PLACE + padded, 1))
    return Pair("stopping", str(path), str(path))
