"""Which model files were measured: hashes that are the same wherever the same files lie.

Small files are hashed whole. Weights are sampled, so that 60 GB take a fraction of a second: the size, the first
block (in safetensors: every tensor's name, type, shape and place) and blocks at even distances, the last included.
The key says which: `target/config.json` or `target/model-00001.safetensors (sampled)`.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

WHOLE = 16 << 20
"""Files up to this size (bytes) are hashed whole."""
BLOCK = 64 << 10
BLOCKS = 64
"""Blocks sampled of a larger file: 4 MiB in all."""

CONFIGS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "*.gguf", "*.bin", "*.litertlm", "*.task")


def of_model(path: Path, label: str) -> dict[str, str]:
    """File -> sha256 of a model folder's configuration, index and weights, or of one model file.

    `label` (`target`, `drafter`) starts every key. Raises OSError where a file cannot be read.
    """
    return dict(_hash(file, label) for file in _files(path))


def of_models(paths: Mapping[str, Path]) -> dict[str, str]:
    """The same of several: label -> folder or file."""
    return {name: digest for label, path in paths.items() for name, digest in of_model(path, label).items()}


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    yield from (file for name in CONFIGS if (file := path / name).is_file())
    yield from sorted({file for pattern in WEIGHTS for file in path.glob(pattern) if file.is_file()})


def _hash(file: Path, label: str) -> tuple[str, str]:
    size = file.stat().st_size
    if size <= WHOLE:
        return f"{label}/{file.name}", hashlib.sha256(file.read_bytes()).hexdigest()
    digest = hashlib.sha256(size.to_bytes(8, "big"))
    with file.open("rb") as stream:
        for index in range(BLOCKS):
            stream.seek((size - BLOCK) * index // (BLOCKS - 1))
            digest.update(stream.read(BLOCK))
    return f"{label}/{file.name} (sampled)", digest.hexdigest()
