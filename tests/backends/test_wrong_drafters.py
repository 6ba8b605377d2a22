"""A drafter of another vocabulary or hidden size is refused in one line, by every runtime that is given one."""

import json
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import the_demo_pair
import the_gguf_pair
from hosted import hosting, needs

from backends.protocol import Open
from backends.sglang import Adapter as SGLang
from results.errors import UsageError
from results.records import Draft, EngineConfig, Pair

MTP = Draft("mtp", 4)
ENGINE = EngineConfig(dtype="float32", device="cpu", threads=1, methods=("mtp",), draft=MTP)


def assistant(folder: Path, **changed: int) -> str:
    """The demo pair's assistant, its config changed at any depth."""
    shutil.copytree(the_demo_pair.DEMO / "assistant", folder / "assistant")
    path = folder / "assistant" / "config.json"
    config = json.loads(path.read_text())
    for level in (config, config["text_config"]):
        level.update({name: value for name, value in changed.items() if name in level})
    path.write_text(json.dumps(config))
    return str(path.parent)


def gguf(folder: Path, hidden: int, vocabulary: int) -> str:
    """The header of a GGUF assistant: nothing more is looked at."""

    def key(name: str, kind: int, value: bytes) -> bytes:
        return struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", kind) + value

    kind = b"gemma4-assistant"
    keys = [
        key("general.architecture", 8, struct.pack("<Q", len(kind)) + kind),
        key("gemma4-assistant.embedding_length_out", 4, struct.pack("<I", hidden)),
        key("gemma4-assistant.nextn_predict_layers", 4, struct.pack("<I", 2)),
        key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 0, vocabulary) + bytes(vocabulary)),
    ]
    path = folder / "drafter.gguf"
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, len(keys)) + b"".join(keys))
    return str(path)


FLAWS: dict[str, tuple[Callable[[Path], str], Callable[[Path], str], str]] = {
    "hidden size": (
        lambda folder: assistant(folder, backbone_hidden_size=96),
        lambda folder: gguf(folder, 96, 2048),
        "expects hidden size 96, the target has 128",
    ),
    "vocabulary": (
        lambda folder: assistant(folder, vocab_size=1024),
        lambda folder: gguf(folder, 128, 1024),
        "the drafter, 2,?048 (tokens )?in the target",
    ),
}


@pytest.mark.parametrize("flaw", FLAWS)
@pytest.mark.parametrize("name", [pytest.param(n, marks=needs(n)) for n in ("transformers", "mlx", "vllm", "llamacpp")])
def test_a_drafter_that_does_not_fit_is_refused_in_one_line(name: str, flaw: str, tmp_path: Path) -> None:
    folders, file, told = FLAWS[flaw]
    pair = the_demo_pair.PAIR if name != "llamacpp" else the_gguf_pair.PAIR
    wrong = replace(pair, assistant=(folders if name != "llamacpp" else file)(tmp_path))
    with hosting(name) as worker, pytest.raises(UsageError, match=told) as caught:
        worker.ask(Open(wrong, ENGINE), 120)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("flaw", FLAWS)
def test_sglang_is_not_started_with_one(flaw: str, tmp_path: Path) -> None:
    folders, _, told = FLAWS[flaw]
    wrong = Pair("wrong", the_demo_pair.PAIR.target, folders(tmp_path))
    engine = replace(ENGINE, options={"server": "/no/such/program"})
    with pytest.raises(UsageError, match=told), SGLang().open(wrong, engine):
        pass
