"""A pair as two GGUF files in float32, by llama.cpp's own converter, the only one that knows the format."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from workloads.conversion.environments import CONVERTER, Say, run
from workloads.conversion.pair import PairFolder, refuse_for_gguf
from workloads.conversion.widen import next_width, widen


@dataclass(frozen=True, slots=True)
class Gguf:
    """The two files of a pair."""

    target: Path
    drafter: Path


def files_in(folder: Path) -> Gguf:
    """As `convert` names them; they need not be there."""
    return Gguf(folder / "target-f32.gguf", folder / "drafter-f32.gguf")


def convert(pair: PairFolder, out: Path, tree: Path, python: Path, say: Say) -> Gguf:
    """Write both files to `out`. tree: llama.cpp's sources. python: of an environment with the converter's packages.

    The files are byte for byte a function of the pair, its folders' names (the converter makes model names of them)
    and the versions. Raises UsageError for pairs that cannot be converted, and where the converter stops.
    """
    refuse_for_gguf(pair)
    out.mkdir(parents=True, exist_ok=True)
    made = files_in(out)
    with TemporaryDirectory(dir=out.resolve(), prefix="unfinished-") as folder:
        unfinished = files_in(Path(folder))
        assistant = pair.assistant
        if pair.as_wide:
            assistant = Path(folder) / "wide"
            hidden = int(str(pair.drafting["hidden_size"]))
            say(f"the assistant is as wide as its target: widened from {hidden} to {next_width(hidden)} channels")
            widen(pair.assistant, assistant, next_width(hidden))
        for source, file in ((pair.target, unfinished.target), (assistant, unfinished.drafter)):
            say(f"converting {source}")
            # from its own tree, whose gguf-py it must find: the released one lacks the assistant's architecture
            command = [str(python), CONVERTER, str(source), "--outtype", "f32", "--outfile", str(file)]
            run(command, out / "gguf.log", "llama.cpp's converter", folder=tree)
        unfinished.target.replace(made.target)
        unfinished.drafter.replace(made.drafter)
    return made
