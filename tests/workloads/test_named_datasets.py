"""Public data sets, read from tiny files in each one's real format."""

import gzip
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from results.errors import UsageError
from workloads.datasets import DATASETS, PLACEHOLDER
from workloads.prompts import load


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


GSM8K = lines({"question": "Ann has 3 pens and buys 4. How many?", "answer": "3+4=<<3+4=7>>7\n#### 7"})
HUMANEVAL = lines(
    {
        "task_id": "HumanEval/999",
        "prompt": 'def twice(x: int) -> int:\n    """Double x."""\n',
        "entry_point": "twice",
        "canonical_solution": "    return 2 * x\n",
        "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    }
)
MT_BENCH = lines(
    {"question_id": 181, "category": "writing", "turns": ["Write a limerick.", "Now without rhymes."]},
    {"question_id": 182, "category": "math", "turns": ["What is 6 x 7?", "And doubled?"], "reference": ["42", "84"]},
)
MBPP = lines(
    {
        "task_id": 1001,
        "text": "Write a function to reverse a string.",
        "code": "def rev(s): return s[::-1]",
        "test_list": ["assert rev('ab') == 'ba'"],
        "test_setup_code": "",
        "challenge_test_list": [],
    }
)
SPEC_BENCH = lines(
    {"question_id": "171", "category": "translation", "turns": ["Translate: Guten Tag."], "reference": ["Hello."]}
)


@pytest.mark.parametrize(
    ("name", "file", "content", "expected"),
    [
        ("gsm8k", "test.jsonl", GSM8K, [("gsm8k/0001", "math", "Ann has 3 pens and buys 4. How many?")]),
        (
            "humaneval",
            "HumanEval.jsonl.gz",
            gzip.compress(HUMANEVAL),
            [("humaneval/HumanEval/999", "coding", 'def twice(x: int) -> int:\n    """Double x."""\n')],
        ),
        (
            "mt-bench",
            "question.jsonl",
            MT_BENCH,
            [("mt-bench/181", "writing", "Write a limerick."), ("mt-bench/182", "math", "What is 6 x 7?")],
        ),
        ("mbpp", "mbpp.jsonl", MBPP, [("mbpp/1001", "coding", "Write a function to reverse a string.")]),
        (
            "mbpp",
            "sanitized-mbpp.json",
            json.dumps(
                [{"source_file": "x", "task_id": 2, "prompt": "Sum a list.", "code": "", "test_list": []}]
            ).encode(),
            [("mbpp/2", "coding", "Sum a list.")],
        ),
        ("spec-bench", "question.jsonl", SPEC_BENCH, [("spec-bench/171", "translation", "Translate: Guten Tag.")]),
    ],
)
def test_a_local_file_in_the_published_format_is_read(
    tmp_path: Path, name: str, file: str, content: bytes, expected: list[tuple[str, str, str]]
) -> None:
    (tmp_path / file).write_bytes(content)
    for path in (tmp_path / file, tmp_path):
        sources = load(f"{name}:{path}")
        assert [(s.key, s.category, s.text) for s in sources] == expected
        assert {s.licence for s in sources} == {DATASETS[name].licence}
        assert {s.workload for s in sources} == {name}


def test_speed_bench_is_read_from_parquet_without_its_placeholders(tmp_path: Path) -> None:
    rows = [
        {"question_id": "q1", "category": "coding", "turns": ["Explain recursion."], "source": "a", "multiturn": False},
        {
            "question_id": "q2",
            "category": "qa",
            "turns": [f"{PLACEHOLDER} USING A TOOL"],
            "source": "b",
            "multiturn": False,
        },
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "test-00000-of-00001.parquet")
    assert [(s.key, s.category) for s in load(f"speed-bench:{tmp_path}")] == [("speed-bench/q1", "coding")]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows[1:]), tmp_path / "test-00000-of-00001.parquet")
    with pytest.raises(UsageError, match="placeholders only"):
        load(f"speed-bench:{tmp_path}")


def test_the_datasets_library_is_asked_where_no_path_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(hub: str, config: str | None, split: str) -> list[dict[str, Any]]:
        asked.append((hub, config, split))
        return [{"prompt": ["Write a limerick.", "Again."], "prompt_id": 7, "category": "writing", "reference": []}]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    (source,) = load("mt-bench")
    assert asked == [("HuggingFaceH4/mt_bench_prompts", None, "train")]
    assert (source.key, source.text) == ("mt-bench/7", "Write a limerick.")


def test_a_data_set_that_cannot_be_had_says_where_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("Couldn't reach the hub\nand more lines")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=offline))
    with pytest.raises(UsageError, match="gsm8k could not be loaded from openai/gsm8k: Couldn't reach the hub; get it"):
        load("gsm8k")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"pip install 'mtpbench\[datasets\]'"):
        load("gsm8k")
    with pytest.raises(UsageError, match="not on the hub"):
        load("spec-bench")


def test_a_wrong_or_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "gsm.jsonl").write_bytes(GSM8K)
    (tmp_path / "broken.parquet").write_bytes(b"not parquet")
    (tmp_path / "table.csv").touch()
    (tmp_path / "object.json").write_text("{}")
    for text, says in {
        f"humaneval:{tmp_path / 'gsm.jsonl'}": "line 1: no prompt: is this HumanEval",
        f"speed-bench:{tmp_path / 'broken.parquet'}": "is no Parquet file",
        f"gsm8k:{tmp_path / 'table.csv'}": "is none of .jsonl",
        f"mbpp:{tmp_path / 'object.json'}": "holds no list of prompts",
        f"gsm8k:{tmp_path / 'nowhere'}": "no file at",
        f"gsm8k:{tmp_path}": "name one file in .*: it holds 3 data files",
    }.items():
        with pytest.raises(UsageError, match=says) as refused:
            load(text)
        assert "\n" not in str(refused.value)
