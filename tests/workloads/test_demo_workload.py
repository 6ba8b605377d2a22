"""The demo pair's own texts: held out, long enough, one place each."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from results.errors import UsageError
from workloads.pairs import DATA, PAIRS, resolve
from workloads.prompts import Framing, framing, load
from workloads.source import Source

ROWS = [json.loads(line) for line in (DATA / "demo" / "workload.jsonl").read_text(encoding="utf-8").splitlines()]


def test_there_are_enough_excerpts_for_batches_and_each_makes_a_prompt_of_512_tokens() -> None:
    tokenizer = Tokenizer.from_file(str(Path(PAIRS["demo"].target) / "tokenizer.json"))
    lengths = [len(tokenizer.encode(s.text, add_special_tokens=False).ids) for s in load("demo")]
    assert len(lengths) >= 24
    assert min(lengths) >= 513  # one more for <bos>
    assert min(lengths) > 2 * PAIRS["demo"].sliding_window


def test_excerpts_overlap_neither_each_other_nor_the_twelve_short_prompts() -> None:
    short = (DATA / "demo" / "prompts.jsonl").read_text(encoding="utf-8").splitlines()
    for prompt in map(json.loads, short):
        assert not any(prompt["text"] in row["text"] for row in ROWS)
    for file in {row["file"] for row in ROWS}:
        spans = sorted((row["offset"], row["offset"] + len(row["text"])) for row in ROWS if row["file"] == file)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))


def test_only_the_start_of_a_file_has_bos_before_it() -> None:
    by_key = {s.key: s for s in load("demo")}
    assert {row["offset"] == 0 for row in ROWS} == {True, False}
    for row in ROWS:
        assert by_key[f"demo/{row['id']}"].bos == (row["offset"] == 0)


def test_the_licence_of_the_quoted_text_is_shipped() -> None:
    assert "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2" in (DATA / "demo" / "LICENSE.python").read_text()
    assert "workload.jsonl" in (DATA / "demo" / "NOTICE").read_text()
    assert {s.licence for s in load("demo")} == {"PSF-2.0"}


def test_documents_are_raw_although_the_demo_pair_has_a_chat_template() -> None:
    demo = resolve("demo")
    documents, chats = load("demo"), load("chat")
    assert framing(documents, demo, chat_template=True, raw=False, thinking=False) == Framing(False, False)
    assert framing(chats, demo, chat_template=True, raw=False, thinking=True) == Framing(True, True)
    assert framing(chats, demo, chat_template=True, raw=True, thinking=False) == Framing(False, False)
    assert framing(chats, demo, chat_template=False, raw=False, thinking=False) == Framing(False, False)


@pytest.mark.parametrize(
    ("sources", "pair", "thinking", "says"),
    [
        (load("demo"), "gemma-4-E2B", False, "leaves out <bos>, which gemma-4-E2B needs"),
        (load("demo") + load("chat"), "demo", False, "workload demo is raw text, others are chat"),
        (load("demo"), "demo", True, "thinking is a mode of the chat template"),
    ],
)
def test_wishes_that_contradict_each_other_are_refused(
    sources: list[Source], pair: str, thinking: bool, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        framing(sources, resolve(pair), chat_template=True, raw=False, thinking=thinking)
