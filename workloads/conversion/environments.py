"""What conversions run in: pinned virtual environments and llama.cpp's own converter, made once in a work folder.

The converters pin versions that contradict each other and ours, so each has a folder of its own. A marker file is
written last: without it a folder is unfinished, and made anew.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from results import errors
from results.errors import UsageError

Say = Callable[[str], None]

MARKER = "ready"


@dataclass(frozen=True, slots=True)
class Recipe:
    """A virtual environment: its folder's name and its packages."""

    name: str
    packages: tuple[str, ...]


TO_GGUF = Recipe(
    "to-gguf",
    (
        "transformers==4.57.6",  # too old to know Gemma 4, as the converter needs it (docs/conversions.md)
        *("tokenizers==0.22.2", "sentencepiece==0.2.3", "safetensors==0.8.0"),
        *("torch==2.13.0", "numpy==2.4.6", "pyyaml==6.0.3"),
    ),
)
"""For llama.cpp's converter."""
RUN_GGUF = Recipe("run-gguf", ("xllamacpp==2026.10.11549",))
"""llama.cpp b11549, which reads what was converted."""
TO_LITERT = Recipe(
    "to-litert",
    (
        *("litert-torch==0.10.0", "litert-lm-builder==0.18.1", "ai-edge-litert==2.3.0", "ai-edge-quantizer==0.10.0"),
        *("litert-converter==0.5.0", "torch==2.13.0", "torchao==0.18.0", "jax==0.10.2", "jaxlib==0.10.2"),
        *("transformers==5.22.2", "tokenizers==0.23.3", "safetensors==0.8.0", "numpy==2.4.6"),
    ),
)
"""The exporter and the builder of bundles."""

SOURCE = "llama_cpp_python-0.3.36"
"""A source distribution that holds the whole llama.cpp tree; the converter is in no package of its own."""
SOURCE_SHA256 = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
TREE = "vendor/llama.cpp"
CONVERTER = "convert_hf_to_gguf.py"


def python_of(recipe: Recipe, work: Path, say: Say) -> Path:
    """The interpreter of its environment below `work`, made where it is missing."""
    digest = hashlib.sha256(repr((recipe.packages, sys.version_info[:2])).encode()).hexdigest()[:8]
    folder = work.resolve() / f"{recipe.name}-{digest}"
    python = folder / "bin" / "python"
    if (folder / MARKER).is_file():
        return python
    say(f"making {folder}: {', '.join(recipe.packages)}")
    shutil.rmtree(folder, ignore_errors=True)
    log = work / f"{recipe.name}.log"
    run([sys.executable, "-m", "venv", str(folder)], log, "making a virtual environment")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run([*pip, "install", *recipe.packages], log, f"installing {recipe.name}")
    (folder / MARKER).write_text("\n".join(recipe.packages) + "\n")
    return python


def converter_tree(work: Path, say: Say) -> Path:
    """llama.cpp's source tree of the pinned source distribution, downloaded and unpacked where it is missing."""
    folder = work.resolve() / SOURCE
    if (folder / MARKER).is_file():
        return folder / TREE
    shutil.rmtree(folder, ignore_errors=True)
    wanted = SOURCE.replace("_", "-").replace("-0.", "==0.")
    say(f"downloading the sources of {wanted}, which hold llama.cpp's converter")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    with TemporaryDirectory() as downloads:
        run(
            [*pip, "--no-deps", "--no-binary", ":all:", "--dest", downloads, wanted],
            work / "source.log",
            "pip download",
        )
        archive = Path(downloads) / f"{SOURCE}.tar.gz"
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SOURCE_SHA256:
            raise UsageError(f"{archive.name} has the SHA-256 {found}, not {SOURCE_SHA256}: it is not the one we tried")
        with tarfile.open(archive) as packed:
            tree = [member for member in packed if member.name.startswith(f"{SOURCE}/{TREE}/")]
            packed.extractall(work, tree, filter="data")
    (folder / MARKER).write_text(SOURCE_SHA256 + "\n")
    return folder / TREE


def checked_tree(tree: Path) -> Path:
    """A tree that the user named. Raises UsageError where it is not llama.cpp's."""
    if not (tree / CONVERTER).is_file():
        raise UsageError(f"--tree {tree} holds no {CONVERTER}; name llama.cpp's source tree")
    return tree.resolve()


def run(
    command: Sequence[str],
    log: Path,
    doing: str,
    *,
    folder: Path | None = None,
    path: Path | None = None,
    given: str | None = None,
) -> None:
    """Run a program of another environment; what it prints is added to `log`.

    folder: where it runs. path: its only PYTHONPATH. given: its standard input. Raises UsageError where it fails.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    outer = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    environment = outer | ({} if path is None else {"PYTHONPATH": str(path)})
    environment["PYTHONHASHSEED"] = "0"  # the LiteRT exporter writes a set of stop sequences, in any order
    with log.open("a+", encoding="utf-8", errors="replace") as out:
        start = out.seek(0, os.SEEK_END)
        try:
            ended = subprocess.run(
                command, input=given, stdout=out, stderr=out, cwd=folder, env=environment, text=True, check=False
            )
        except OSError as error:
            raise UsageError(f"{doing} failed: {command[0]}: {error.strerror}") from error
        out.seek(start)
        printed = [line.strip() for line in out.read().splitlines() if line.strip()]
    if ended.returncode:
        last = printed[-1] if printed else f"it printed nothing and ended with {ended.returncode}"
        raise UsageError(f"{doing} failed: {last}; all that it printed is in {log}")


@contextmanager
def shown() -> Iterator[Path]:
    """A folder for another environment's PYTHONPATH: links to `workloads` and `results`, and nothing beside them."""
    with TemporaryDirectory(prefix="mtpbench-path-") as folder:
        for source in (Path(__file__).resolve().parents[1], Path(str(errors.__file__)).resolve().parent):
            (Path(folder) / source.name).symlink_to(source, target_is_directory=True)
        yield Path(folder)
