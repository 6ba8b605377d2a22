"""The registry of target and drafter pairs, and what a user's `-m` means."""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from results.errors import UsageError
from results.records import ModelFormat, Pair, Shapes
from workloads import shapes

Kind = Literal["dense", "MoE", "edge", "unified"]

DATA = Path(__file__).parent / "data"
MODEL_FILES = (".gguf", ".litertlm")
"""The formats of single files, by their endings."""
RANDOM, TINY = "random:", "tiny-"
"""Before a registered name: weights made at random, of its real shapes; `random:tiny-` of its kinds of layers only."""
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class PairEntry:
    """What is known about a pair before it is loaded."""

    name: str
    alias: str | None
    """A shorter name that `-m` takes too."""
    target: str
    """Hub id, or the folder shipped with the package."""
    assistant: str
    kind: Kind
    licence: str
    draft_lengths: tuple[int, ...]
    """Draft lengths k worth trying first."""
    sliding_window: int
    """Tokens a sliding layer looks back; prompts should exceed it."""
    special: tuple[str, ...]
    """What changes how drafting behaves, and known bugs."""
    files: Mapping[ModelFormat, tuple[str, ...]] = field(default_factory=dict)
    """The same weights in other formats: target and, where that is a file of its own, drafter. In a checkout only."""
    nominal_tpot_ms: float | None = None
    """Plain time per output token on one thread of a common CPU, for estimates only; None where hardware decides."""

    @property
    def embedded(self) -> bool:
        """Shipped with the package: no download."""
        return Path(self.target).is_absolute()


def _registry() -> dict[str, PairEntry]:
    with (DATA / "pairs.toml").open("rb") as file:
        tables = tomllib.load(file)
    return {name: _entry(name, table) for name, table in tables.items()}


def _entry(name: str, table: Mapping[str, Any]) -> PairEntry:
    def place(model: str) -> str:
        return str(DATA / model) if (DATA / model).is_dir() else model

    return PairEntry(
        name=name,
        alias=table.get("alias"),
        target=place(table["target"]),
        assistant=place(table["assistant"]),
        kind=table["kind"],
        licence=table["licence"],
        draft_lengths=tuple(table["draft_lengths"]),
        sliding_window=table["sliding_window"],
        special=tuple(table["special"]),
        files={format_: tuple(str(DATA / file) for file in files) for format_, files in table.get("files", {}).items()},
        nominal_tpot_ms=table.get("nominal_tpot_ms"),
    )


PAIRS: Mapping[str, PairEntry] = _registry()
"""Every pair that has a name, the announcement's four first."""


def find(text: str) -> PairEntry | None:
    """The registry's entry of that name or alias, in any case; None where there is none."""
    return next((e for e in PAIRS.values() if text.casefold() in _names(e)), None)


def _names(entry: PairEntry) -> list[str]:
    return [name.casefold() for name in (entry.name, entry.alias) if name]


def resolve(text: str) -> Pair:
    """What `-m` names: a registry name, `TARGET:ASSISTANT`, or `TARGET` alone (a pair without assistant).

    `random:NAME` is a registered pair with weights made at random, `random:tiny-NAME` the same with few, narrow layers.
    A model is a hub id (`owner/name`), a folder with a config.json, or a model file. A path may hold a colon
    where it exists. Raises UsageError for an unknown name, a missing path, or a folder that holds no model.
    """
    if entry := find(text):
        return Pair(name=entry.name, target=entry.target, assistant=entry.assistant)
    if ":" not in text or Path(text).expanduser().exists():
        return Pair(name=text, target=_model(text), assistant=None)
    if text.startswith(RANDOM):
        return _random(text.removeprefix(RANDOM))
    target, assistant = _split(text)
    return Pair(name=text, target=_model(target), assistant=_model(assistant))


def _random(text: str) -> Pair:
    """A registered pair without its weights. Raises UsageError for a name whose shapes are unknown."""
    tiny = text.casefold().startswith(TINY)
    entry = find(text[len(TINY) :] if tiny else text)
    if entry is None or entry.name not in shapes.PUBLISHED:
        known = ", ".join(RANDOM + (PAIRS[name].alias or name) for name in shapes.PUBLISHED)
        raise UsageError(f"no shapes to make random weights of: {RANDOM}{text}; there are {known}, and {RANDOM}{TINY}…")
    target, assistant = shapes.configs(entry.name, tiny=tiny)
    name = f"{RANDOM}{TINY if tiny else ''}{entry.name}"
    made = Shapes(target, assistant, tokenizer=PAIRS["demo"].target)
    return Pair(name, target=name, assistant=f"{name}-assistant", random_weights=True, shapes=made)


def fitting(text: str, formats: Sequence[ModelFormat]) -> tuple[Pair, str | None]:
    """What `-m` names as a runtime that loads these formats takes it, and why it cannot; None where it can.

    A served model's name is taken as it stands. Raises UsageError as `resolve` does.
    """
    if "served" in formats:
        return Pair(name=text, target=text, assistant=None), None
    pair = resolve(text)
    format_ = _format(pair)
    if format_ in formats:
        return pair, None
    if format_ == "shapes":
        return pair, f"it makes no random weights, and {pair.name} has no others"
    loads = " or ".join(name for name in formats if name != "shapes")
    entry = find(text)
    if entry is None:
        return pair, f"it loads {loads}, and {pair.name} is {format_}"
    known = [files for wanted in formats if (files := entry.files.get(wanted))]
    if not known:
        return pair, f"it loads {loads}: name the files of {pair.name} themselves (-m TARGET:DRAFTER)"
    if not all(Path(file).is_file() for file in known[0]):
        return pair, f"the {loads} files of {pair.name} are in the repository, not in the installed package"
    return Pair(name=entry.name, target=known[0][0], assistant=known[0][-1]), None


def _format(pair: Pair) -> ModelFormat:
    if pair.shapes is not None:
        return "shapes"
    match Path(pair.target).suffix:
        case ".gguf":
            return "gguf"
        case ".litertlm":
            return "litertlm"
        case _:
            return "hf"


def _split(text: str) -> tuple[str, str]:
    """The two sides of the colon; of several colons the first that leaves two models, else the first."""
    splits = [(text[: m.start()], text[m.end() :]) for m in re.finditer(":", text)]
    return next((s for s in splits if all(_is_model(side) for side in s)), splits[0])


def _is_model(text: str) -> bool:
    path = Path(text).expanduser()
    if not text:  # which a path would take for the current folder
        return False
    if path.is_dir():
        return (path / "config.json").is_file()
    return path.suffix in MODEL_FILES if path.is_file() else HUB_ID.fullmatch(text) is not None


def _model(text: str) -> str:
    """`text` as a runtime takes it: hub id as it stands, path made absolute."""
    path = Path(text).expanduser()
    if _is_model(text):
        return str(path.resolve()) if path.exists() else text
    if text and path.is_dir():
        raise UsageError(f"{text} is no model folder: it holds no config.json")
    if path.is_file():
        raise UsageError(f"{text} is no model: expected a folder with config.json, or {' or '.join(MODEL_FILES)}")
    if "/" in text:
        raise UsageError(f"no model at {text}: no such folder, and a hub id reads OWNER/NAME")
    names = {name: entry.name for entry in PAIRS.values() for name in _names(entry)}
    near = dict.fromkeys(names[n] for n in difflib.get_close_matches(text.casefold(), names, n=3))
    guess = f"did you mean {' or '.join(near)}?" if near else f"name one of {', '.join(PAIRS)}"
    raise UsageError(f"unknown pair {text!r}: {guess} (TARGET:ASSISTANT takes hub ids and folders)")
