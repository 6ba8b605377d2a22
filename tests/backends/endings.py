"""The demo pair in formats that end a text at another token too: by itself it hardly ever ends one."""

import json
import shutil
import struct
from pathlib import Path

from the_demo_pair import PAIR
from the_gguf_pair import TARGET

from results.records import Pair

KEY = b"tokenizer.ggml.eos_token_id"
UINT32 = struct.pack("<I", 4)  # ggml/include/gguf.h: GGUF_TYPE_UINT32


def checkpoint(folder: Path, token: int) -> Pair:
    """Folders of safetensors, the target's a copy in `folder`."""
    target = folder / "ending"
    shutil.copytree(PAIR.target, target)
    settings = target / "generation_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"eos_token_id": [1, token]}))
    return Pair("ending", str(target), PAIR.assistant)


def gguf(folder: Path, token: int) -> str:
    """The target as GGUF, a copy in `folder`."""
    data = Path(TARGET).read_bytes()
    place = data.index(KEY + UINT32) + len(KEY + UINT32)
    path = folder / "ending.gguf"
    path.write_bytes(data[:place] + struct.pack("<I", token) + data[place + 4 :])
    return str(path)
