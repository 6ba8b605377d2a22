"""Text to learn from: which files, which of them are held out, and their tokens."""

import json
import os
import random
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from results.errors import UsageError
from workloads.training.tokenizer import BOS, EOS

Tokens = NDArray[np.uint16]

HELD_OUT_SHARE = 0.05
LARGEST_FILE = 1_000_000
"""Bytes; larger files are tables or dumps."""
SKIPPED_FOLDERS = {"test", "tests", "idle_test", "site-packages", "__pycache__", "_bundled"}


@dataclass(frozen=True, slots=True)
class Source:
    """One file of the corpus: a name that says where it came from on any machine, and its text."""

    name: str
    text: str


def _documentation() -> Path | None:
    """The .rst sources of the interpreter's documentation, where a Unix distribution put them."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    places = [Path("/usr/share/doc") / f"python{v}/html/_sources" for v in (version, "3")]
    return next((place for place in places if place.is_dir()), None)


def _text(path: Path) -> str | None:
    """What a file says; None where it is empty, a huge table, binary or in a legacy encoding."""
    if not 0 < path.stat().st_size <= LARGEST_FILE:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _read(folder: Path, label: str, suffixes: str | tuple[str, ...]) -> Iterator[Source]:
    """The text files below `folder` whose name ends in one of `suffixes` ("" for any), in a fixed order."""
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS and not f.startswith("."))
        for path in (Path(root) / name for name in sorted(names)):
            if path.name.startswith(".") or not path.name.endswith(suffixes) or not path.is_file():
                continue
            if (text := _text(path)) is not None:
                yield Source(f"{label}/{path.relative_to(folder).as_posix()}", text)


def read(folders: Sequence[Path]) -> list[Source]:
    """All files of the given folders; without any, the standard library (no tests) and its documentation."""
    found: list[Source] = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"--corpus {folder} is not a folder: name one that holds text files")
        found += _read(folder, folder.name, "")
    if not folders:
        found += _read(Path(sysconfig.get_path("stdlib")), "stdlib", (".py",))
        documentation = _documentation()
        found += _read(documentation, "doc", (".rst", ".rst.txt")) if documentation else ()
    if len(found) < 2:
        raise UsageError(
            f"the corpus has {len(found)} text file(s), but one to train on and one to hold out are needed"
        )
    return found


def split(sources: Sequence[Source], seed: int) -> tuple[list[Source], list[Source]]:
    """(training files, held-out files): a seeded twentieth of the files, at least one, is held out."""
    order = list(sources)
    random.Random(seed).shuffle(order)
    held_out = max(1, round(HELD_OUT_SHARE * len(order)))
    return order[held_out:], order[:held_out]


def encode(tokenizer: Tokenizer, sources: Sequence[Source]) -> Tokens:
    """One flat array: <bos> text <eos> of each file in turn."""
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    encoded = tokenizer.encode_batch([s.text for s in sources], add_special_tokens=False)
    return np.concatenate([np.array([bos, *e.ids, eos], dtype=np.uint16) for e in encoded])


def describe(path: Path, train: Sequence[Source], held_out: Sequence[Source]) -> None:
    """Write which files were learnt from and which were held out."""
    listing = {"train": [s.name for s in train], "held_out": [s.name for s in held_out]}
    path.write_text(json.dumps(listing, indent=1) + "\n")
