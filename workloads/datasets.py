"""Public data sets by name, from a local file or the `datasets` library. None is shipped; each keeps its licence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from results.errors import UsageError
from workloads.own import prompt_text
from workloads.rows import SUFFIXES, Row, rows, suffix
from workloads.source import Source

PLACEHOLDER = "FULL BENCHMARK DATA SHOULD BE FETCHED FROM THE SOURCE"
"""How SPEED-Bench's published file begins the prompts it may not carry; its own tool fills them in."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Where a data set comes from and which fields hold its prompts."""

    name: str
    title: str
    licence: str
    url: str
    hub: tuple[str, str | None, str] | None
    """Id, configuration and split for `datasets.load_dataset`; None where it is not on the hub."""
    text: tuple[str, ...]
    """Fields that may hold the prompt, the first present one is taken; of several turns the first."""
    id: tuple[str, ...]
    category: str
    """The category of every prompt, where rows have no field `category`."""


DATASETS: Mapping[str, Dataset] = {
    data.name: data
    for data in (
        Dataset(
            name="gsm8k",
            title="GSM8K, grade-school maths",
            licence="MIT",
            url="https://github.com/openai/grade-school-math",
            hub=("openai/gsm8k", "main", "test"),
            text=("question",),
            id=(),
            category="math",
        ),
        Dataset(
            name="humaneval",
            title="HumanEval, Python functions to complete",
            licence="MIT",
            url="https://github.com/openai/human-eval",
            hub=("openai/openai_humaneval", None, "test"),
            text=("prompt",),
            id=("task_id",),
            category="coding",
        ),
        Dataset(
            name="mt-bench",
            title="MT-Bench, first turns",
            licence="Apache-2.0",
            url="https://github.com/lm-sys/FastChat",
            hub=("HuggingFaceH4/mt_bench_prompts", None, "train"),
            text=("turns", "prompt"),
            id=("question_id", "prompt_id"),
            category="chat",
        ),
        Dataset(
            name="mbpp",
            title="MBPP, basic Python problems",
            licence="CC-BY-4.0",
            url="https://github.com/google-research/google-research/tree/master/mbpp",
            hub=("google-research-datasets/mbpp", "sanitized", "test"),
            text=("prompt", "text"),
            id=("task_id",),
            category="coding",
        ),
        Dataset(
            name="spec-bench",
            title="Spec-Bench, six kinds of tasks, first turns",
            licence="Apache-2.0 (the parts keep their own)",
            url="https://github.com/hemingkx/Spec-Bench",
            hub=None,
            text=("turns",),
            id=("question_id",),
            category="spec-bench",
        ),
        Dataset(
            name="speed-bench",
            title="SPEED-Bench, qualitative split, first turns",
            licence="NVIDIA Evaluation Dataset License",
            url="https://huggingface.co/datasets/nvidia/SPEED-Bench",
            hub=("nvidia/SPEED-Bench", "qualitative", "test"),
            text=("turns",),
            id=("question_id",),
            category="speed-bench",
        ),
    )
}


def load_dataset(name: str, path: str | None) -> list[Source]:
    """The prompts of a data set: from `path` (a file, or a folder with one), or through the `datasets` library.

    Raises UsageError where it is not there, has another format, or holds nothing but placeholders.
    """
    data = DATASETS[name]
    found = rows(_file(data, Path(path).expanduser())) if path is not None else _from_hub(data)
    sources = [source for number, row in enumerate(found, 1) if (source := _source(data, number, row)) is not None]
    if not sources:
        raise UsageError(
            f"{name}: {path or data.url} holds no prompts, or placeholders only: fetch it as {data.url} says"
        )
    return sources


def _source(data: Dataset, number: int, row: Row) -> Source | None:
    where, fields = row
    field = next((name for name in data.text if name in fields), None)
    if field is None:
        raise UsageError(
            f"{where}: no {' or '.join(data.text)}: is this {data.title}? It has the fields {_list(fields)}"
        )
    text = prompt_text(fields, field, where)
    if text.startswith(PLACEHOLDER):
        return None
    key = next((fields[name] for name in data.id if name in fields), f"{number:04}")
    return Source(
        key=f"{data.name}/{key}",
        workload=data.name,
        category=str(fields.get("category") or data.category),
        text=text,
        licence=data.licence,
    )


def _list(fields: Mapping[str, Any]) -> str:
    return ", ".join(list(fields)[:8]) or "(none)"


def _file(data: Dataset, path: Path) -> Path:
    """The one data file at `path`."""
    if path.is_dir():
        found = [file for file in sorted(path.rglob("*")) if suffix(file) in SUFFIXES]
        if len(found) != 1:
            names = ", ".join(str(file.relative_to(path)) for file in found[:5]) or "none"
            raise UsageError(f"{data.name}: name one file in {path}: it holds {len(found)} data files ({names})")
        return found[0]
    if not path.is_file():
        raise UsageError(f"{data.name}: no file at {path}: get it from {data.url}")
    if suffix(path) not in SUFFIXES:
        raise UsageError(f"{data.name}: {path} is none of {', '.join(SUFFIXES)}")
    return path


def _from_hub(data: Dataset) -> Iterable[Row]:
    get = f"get it from {data.url} and name it: {data.name}:/path/to/file"
    if data.hub is None:
        raise UsageError(f"{data.name} is not shipped and not on the hub: {get}")
    try:
        import datasets  # here, not above: optional, and seconds to import
    except ModuleNotFoundError as error:
        raise UsageError(f"{data.name} is not shipped: pip install 'mtpbench[datasets]', or {get}") from error
    hub, config, split = data.hub
    try:
        table = datasets.load_dataset(hub, config, split=split)
    except (OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UsageError(f"{data.name} could not be loaded from {hub}: {reason}; {get}") from error
    return ((f"{hub} row {number}", dict(row)) for number, row in enumerate(table, 1))
