"""How much memory a model's weights take once a server has loaded them, from the headers of its safetensors files.

A safetensors file is the header's length (8 bytes, little-endian), the header (JSON: tensor -> type, shape and place),
the data. Source: https://huggingface.co/docs/safetensors. Nothing but headers is read.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FLOATS = ("F64", "F32", "F16", "BF16")
"""Types that a runtime converts to the one it computes in; others, quantised ones, stay as they are."""
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 100 << 20


def in_memory(folder: Path | None, dtype: str | None) -> int | None:
    """Bytes of the weights in `folder`, floats as `dtype`; None where that cannot be told.

    folder: None where it is not on this machine. dtype: None where they are converted to something else, quantised.
    """
    if folder is None or dtype not in BYTES:
        return None
    try:
        tensors = [tensor for file in _files(folder) for tensor in _header(file)]
        if not tensors:
            return None
        return sum(_bytes(tensor, BYTES[dtype]) for tensor in tensors)
    except (OSError, ValueError, TypeError, KeyError):  # a damaged file; whoever loads it says so
        return None


def _bytes(tensor: Mapping[str, Any], of_a_float: int) -> int:
    start, end = tensor["data_offsets"]
    return math.prod(tensor["shape"]) * of_a_float if tensor["dtype"] in FLOATS else int(end - start)


def _files(folder: Path) -> list[Path]:
    """Those that the index names, where there is one: a folder may hold the same weights twice."""
    if (index := folder / INDEX).is_file():
        return [folder / name for name in sorted({*json.loads(index.read_bytes())["weight_map"].values()})]
    return sorted(folder.glob("*.safetensors"))


def _header(file: Path) -> list[dict[str, Any]]:
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if size > LONGEST_HEADER:
            raise ValueError(f"{file} is no safetensors file")
        header = json.loads(stream.read(size))
    return [tensor for name, tensor in header.items() if name != "__metadata__"]
