"""A user's own prompt files, good and bad."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from results.errors import UsageError
from workloads.prompts import load
from workloads.source import Source


def jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def by_key(sources: list[Source]) -> dict[str, Source]:
    return {source.key: source for source in sources}


def test_each_way_of_writing_a_prompt_is_read(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "mine.jsonl",
        {"text": "plain", "category": "notes", "id": "first"},
        {"prompt": "Grüße, 世界"},
        {"turns": ["opening", "follow-up"]},
        {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]},
        {"messages": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]},
    )
    found = by_key(load(str(path)))
    assert {key: source.text for key, source in found.items()} == {
        "mine/first": "plain",
        "mine/002": "Grüße, 世界",
        "mine/003": "opening",
        "mine/004": "Be brief.\n\nWhy?",
        "mine/005": "one",
    }
    assert found["mine/first"].category == "notes"
    assert found["mine/002"].category == "mine"
    assert found["mine/002"].licence == "not stated"


def test_raw_documents_without_bos_can_be_written_down(tmp_path: Path) -> None:
    (source,) = load(str(jsonl(tmp_path / "docs.jsonl", {"text": "middle of a text", "raw": True, "bos": False})))
    assert source.raw and not source.bos


def test_blank_lines_a_byte_order_mark_and_compression_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"text": "one"}\n\n{"text": "two"}\n'))
    assert {key: source.text for key, source in by_key(load(str(path))).items()} == {
        "mine/001": "one",
        "mine/002": "two",
    }


def test_a_text_file_holds_one_prompt_per_paragraph(tmp_path: Path) -> None:
    path = tmp_path / "asks.txt"
    path.write_text("first line\nsecond line\n\n\n  \nanother prompt\n", encoding="utf-8")
    assert sorted(source.text for source in load(str(path))) == ["another prompt", "first line\nsecond line"]


def test_each_text_file_of_a_folder_is_one_prompt(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\nstill one")
    (tmp_path / "b.txt").write_text("two")
    (tmp_path / "ignored.md").write_text("three")
    found = by_key(load(str(tmp_path)))
    assert {key.partition("/")[2]: source.text for key, source in found.items()} == {
        "a": "one\n\nstill one",
        "b": "two",
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no prompts"),
        ("\n\n", "holds no prompts"),
        ('{"text": "fine"}\n{"text": oops}\n', r"mine\.jsonl line 2, column 10: no JSON"),
        ('["not", "an", "object"]', "line 1: expected an object"),
        ('{"question": "?"}', "line 1: no prompt: expected one of the fields text, prompt, messages, turns"),
        ('{"text": 7}', "line 1: 'text' holds no text"),
        ('{"text": "  "}', "line 1: 'text' holds no text"),
        ('{"turns": []}', "line 1: 'turns' holds no text"),
        ('{"messages": "hello"}', "line 1: 'messages' needs"),
        ('{"messages": [{"role": "assistant", "content": "hi"}]}', "line 1: 'messages' needs"),
        ('{"messages": [{"role": "system", "content": "hi"}]}', "line 1: 'messages' needs"),
        ('{"text": "x", "raw": "yes"}', "line 1: 'raw' is true or false"),
        ('{"text": "x", "bos": false}', "line 1: 'bos': false needs 'raw': true"),
        ('{"text": "x", "id": 1}\n{"text": "y", "id": 1}', "two prompts with the id '1'"),
    ],
)
def test_a_mistake_in_a_prompt_file_is_named_with_file_and_line(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError, match=says) as refused:
        load(str(path))
    assert "\n" not in str(refused.value)


def test_files_that_hold_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "empty.txt").touch()
    (tmp_path / "table.csv").touch()
    (tmp_path / "broken.jsonl.gz").write_bytes(b"no gzip at all")
    (tmp_path / "folder").mkdir()
    for name, says in {
        "binary.txt": "is not UTF-8 text: byte 0",
        "empty.txt": "holds no prompts",
        "table.csv": "is no prompt file",
        "broken.jsonl.gz": "cannot be read",
        "folder": r"holds no prompts: expected \.txt files",
    }.items():
        with pytest.raises(UsageError, match=says):
            load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("codng", "unknown workload 'codng': did you mean coding?"),
        ("zzz", "name one of mixed"),
        ("", "unknown workload ''"),
        ("nowhere.jsonl", "no prompts at nowhere.jsonl"),
        ("./coding", "no prompts at ./coding"),
    ],
)
def test_an_unknown_workload_is_refused_with_the_nearest_names(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        load(text)
    assert says in str(refused.value)


def test_an_unknown_category_is_refused_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="no category 'codding': it has coding"):
        load("mixed", categories=["codding"])
