"""The shipped prompt sets: enough of them, all different, real text, licensed."""

import re
from collections import defaultdict
from collections.abc import Mapping

import pytest

from workloads.pairs import DATA
from workloads.prompts import Source, catalogue, load
from workloads.sets import CATEGORIES

ASKED = {
    "agentic", "chat", "coding", "creative", "long-context",
    "reasoning", "retrieval", "structured-output", "summarisation", "translation",
}  # fmt: skip


@pytest.fixture(scope="module")
def mixed() -> list[Source]:
    return load("mixed")


def shared_five_grams(texts: Mapping[str, str]) -> dict[str, set[str]]:
    """Runs of five words that occur in more than one text, and where."""
    where: dict[str, set[str]] = defaultdict(set)
    for key, text in texts.items():
        words = re.findall(r"\w+", text.lower())
        for start in range(len(words) - 4):
            where[" ".join(words[start : start + 5])].add(key)
    return {gram: keys for gram, keys in where.items() if len(keys) > 1}


def test_every_category_has_at_least_eight_prompts(mixed: list[Source]) -> None:
    assert set(CATEGORIES) == ASKED
    for category in CATEGORIES:
        assert sum(s.category == category for s in mixed) >= 8
    assert len({s.key for s in mixed}) == len(mixed) >= 80


def test_no_two_prompts_share_five_words_in_a_row(mixed: list[Source]) -> None:
    assert shared_five_grams({s.key: s.text for s in mixed}) == {}


def test_the_search_for_shared_words_finds_a_template() -> None:
    texts = {"a": "Write a short poem about the sea.", "b": "Write a short poem about, say, trees!"}
    assert shared_five_grams(texts) == {"write a short poem about": {"a", "b"}}


def test_every_category_holds_a_text_longer_than_the_widest_sliding_window(mixed: list[Source]) -> None:
    """1,024 tokens are some 4,000 characters of prose, 3,000 of logs and code; no Gemma tokenizer is at hand here."""
    for category in CATEGORIES:
        assert max(len(s.text) for s in mixed if s.category == category) >= 3000


def test_long_context_has_documents_of_more_than_1500_words() -> None:
    lengths = [len(s.text.split()) for s in load("long-context")]
    assert min(lengths) > 800
    assert sum(n > 1500 for n in lengths) >= 4


def test_the_sets_are_small_and_in_the_public_domain(mixed: list[Source]) -> None:
    assert {s.licence for s in mixed} == {"CC0-1.0"}
    assert not any(s.raw for s in mixed) and all(s.bos for s in mixed)
    assert sum(path.stat().st_size for path in (DATA / "sets").iterdir()) < 1_500_000


def test_the_first_ten_prompts_are_one_of_each_category() -> None:
    assert {s.category for s in load("mixed", limit=10)} == ASKED


def test_the_order_depends_on_the_seed_alone(mixed: list[Source]) -> None:
    assert load("mixed", seed=0) == mixed
    other = load("mixed", seed=1)
    assert other != mixed
    assert {s.key for s in other} == {s.key for s in mixed}


def test_categories_can_be_chosen() -> None:
    sources = load("mixed", categories=["coding", "chat"], limit=6)
    assert [s.category for s in sources] == ["chat", "coding"] * 3
    assert {s.workload for s in sources} == {"mixed"}
    assert {s.workload for s in load("coding")} == {"coding"}


def test_the_catalogue_lists_every_name_that_loads(mixed: list[Source]) -> None:
    entries = {entry.name: entry for entry in catalogue()}
    for name, entry in entries.items():
        assert entry.about and entry.licence
        if entry.shipped:
            sources = load(name)
            assert entry.prompts == len(sources)
            assert set(entry.categories) == {s.category for s in sources}
    assert {"mixed", "demo", "gsm8k", "humaneval", "mt-bench", "mbpp", "spec-bench", "speed-bench"} <= set(entries)
    assert entries["mixed"].prompts == len(mixed)


def test_the_documentation_counts_the_prompts_that_are_there() -> None:
    page = (DATA.parent.parent / "docs" / "workloads.md").read_text(encoding="utf-8")
    for entry in catalogue():
        assert f"`{entry.name}`" in page and entry.licence.partition(" (")[0] in page
        if entry.shipped:
            assert re.search(rf"\| `{entry.name}`[^|]*\| {entry.prompts} \|", page)
