"""The hashes say which files were measured, and cost next to nothing on large ones."""

import hashlib
import os
import time
from pathlib import Path

from the_demo_pair import DEMO

from backends import fingerprint
from backends.fingerprint import BLOCK, WHOLE, of_model


def test_a_model_s_configuration_and_weights_are_hashed_whole_where_small() -> None:
    hashes = of_model(DEMO / "target", "target")
    assert {"target/config.json", "target/tokenizer.json", "target/model.safetensors"} <= hashes.keys()
    assert hashes["target/config.json"] == hashlib.sha256((DEMO / "target" / "config.json").read_bytes()).hexdigest()


def test_a_file_of_its_own_is_hashed_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    assert of_model(tmp_path / "m.gguf", "drafter") == {"drafter/m.gguf": hashlib.sha256(b"GGUF").hexdigest()}


def _large(path: Path, size: int = WHOLE + 12345) -> Path:
    path.write_bytes(os.urandom(1 << 20) * (size // (1 << 20)) + os.urandom(size % (1 << 20)))
    return path


def test_large_weights_are_sampled_and_the_key_says_so(tmp_path: Path) -> None:
    _large(tmp_path / "model.safetensors")
    assert [*of_model(tmp_path, "target")] == ["target/model.safetensors (sampled)"]


def test_a_change_of_the_first_block_the_last_byte_or_the_size_changes_the_hash(tmp_path: Path) -> None:
    file = _large(tmp_path / "model.safetensors")
    seen = {*of_model(tmp_path, "t").values()}
    for position in (100, file.stat().st_size - 1):
        with file.open("r+b") as stream:
            stream.seek(position)
            byte = stream.read(1)[0]
            stream.seek(position)
            stream.write(bytes([byte ^ 1]))
        seen |= {*of_model(tmp_path, "t").values()}
    with file.open("ab") as stream:
        stream.write(b"x")
    assert len(seen | {*of_model(tmp_path, "t").values()}) == 4


def test_the_same_files_elsewhere_have_the_same_hashes(tmp_path: Path) -> None:
    data = os.urandom(WHOLE + 5)
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").write_bytes(data)
    assert of_model(tmp_path / "a", "t") == of_model(tmp_path / "b", "t")


def test_sixty_gigabytes_take_a_moment(tmp_path: Path) -> None:
    with (tmp_path / "model-00001-of-00001.safetensors").open("wb") as stream:
        stream.truncate(60 << 30)  # sparse: takes no disk
    start = time.perf_counter()
    of_model(tmp_path, "target")
    assert time.perf_counter() - start < 1.0
    assert fingerprint.BLOCKS * BLOCK <= 4 << 20
