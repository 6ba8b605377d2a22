"""Prompts of exact length from real text."""

from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from results.errors import UsageError
from results.records import Encoded
from workloads.pairs import PAIRS
from workloads.prompts import Encode, Source, fit, load, synthetic

HEAD, TAIL = (2, 5), (6,)


def by_words(texts: list[str]) -> list[Encoded]:
    """One token per word, in a frame of three tokens; a word's id is the same in every text."""
    return [Encoded(HEAD, tuple(crc32(word.encode()) for word in t.split()), TAIL) for t in texts]


def source(key: str, text: str, category: str = "a", *, bos: bool = True) -> Source:
    return Source(key=key, workload="test", category=category, text=text, licence="CC0-1.0", bos=bos)


def words(name: str, count: int) -> str:
    return " ".join(f"{name}{i}" for i in range(count))


@pytest.fixture(scope="module")
def demo_encode() -> Encode:
    tokenizer = Tokenizer.from_file(str(Path(PAIRS["demo"].target) / "tokenizer.json"))

    def encode(texts: list[str]) -> list[Encoded]:
        return [Encoded((2,), tuple(tokenizer.encode(t, add_special_tokens=False).ids), ()) for t in texts]

    return encode


def test_a_long_text_is_cut_between_head_and_tail() -> None:
    (prompt,) = fit([source("long", words("w", 50))], by_words, 10)
    whole = by_words([words("w", 50)])[0]
    assert prompt.token_ids == HEAD + whole.content[:7] + TAIL
    assert prompt.text == words("w", 7)
    assert not prompt.synthetic


def test_a_short_text_is_joined_with_others_of_its_own_category_first() -> None:
    sources = [source("x", words("x", 4)), source("y", words("y", 4), "b"), source("z", words("z", 4))]
    prompt = fit(sources, by_words, 13, 1)[0]
    assert prompt.text == f"{words('x', 4)}\n\n{words('z', 4)}\n\n{words('y', 2)}"
    assert (prompt.key, prompt.category) == ("x", "a")


def test_no_text_is_used_twice_within_a_prompt_even_when_all_are_needed() -> None:
    sources = [source(name, words(name, 5)) for name in "pqrs"]
    for prompt in fit(sources, by_words, 3 + 20):
        assert prompt.token_ids is not None
        assert len(set(prompt.token_ids[2:-1])) == 20


def test_joined_texts_are_spread_evenly_over_the_prompts() -> None:
    sources = [source(f"s{i}", words(f"s{i}x", 5)) for i in range(6)]
    texts = [prompt.text or "" for prompt in fit(sources, by_words, 13)]
    assert all(sum(f"s{i}x0" in text for text in texts) == 2 for i in range(6))


def test_a_workload_that_runs_out_of_text_says_how_much_there_is() -> None:
    sources = [source("x", words("x", 4)), source("y", words("y", 5))]
    with pytest.raises(UsageError, match="all its 2 texts together make a prompt of 12 tokens, not 40"):
        fit(sources, by_words, 40)


def test_more_prompts_than_texts_are_refused() -> None:
    with pytest.raises(UsageError, match="workload test holds 1 prompts, not 2"):
        fit([source("x", words("x", 9))], by_words, 8, 2)


def test_a_length_that_leaves_no_room_for_text_is_refused() -> None:
    with pytest.raises(UsageError, match="ask for at least 4"):
        fit([source("x", words("x", 9))], by_words, 3)


@pytest.mark.parametrize(("prompt_tokens", "says"), [(64, "context leaves 10"), (None, "x has 12 tokens")])
def test_prompts_longer_than_the_context_are_refused(prompt_tokens: int | None, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        fit([source("x", words("x", 9))], by_words, prompt_tokens, longest=10)


def test_texts_keep_their_own_length_where_none_is_asked_for() -> None:
    prompts = fit([source("x", words("x", 4)), source("y", words("y", 9))], by_words, None)
    assert [len(p.token_ids or ()) for p in prompts] == [7, 12]
    assert [p.text for p in prompts] == [words("x", 4), words("y", 9)]


def test_prompts_travel_as_text_where_the_runtime_shows_no_tokens() -> None:
    (prompt,) = fit([source("x", "some text")], None, None)
    assert (prompt.token_ids, prompt.text) == (None, "some text")
    with pytest.raises(UsageError, match="shows no tokens"):
        fit([source("x", "some text")], None, 8)


@pytest.mark.parametrize("length", [6, None])
def test_prompts_that_come_out_equal_are_refused(length: int | None) -> None:
    tail = "" if length is None else " but different"
    twins = [source("one", "the same words"), source("two", "the same words" + tail)]
    with pytest.raises(UsageError, match="prompts one and two are the same at 6 tokens"):
        fit(twins, by_words, length)


def test_nothing_stands_before_a_text_from_the_middle_of_a_document() -> None:
    text = words("w", 50)
    (prompt,) = fit([source("mid", text, bos=False)], by_words, 10)
    assert prompt.token_ids == by_words([text])[0].content[:9] + TAIL


def test_synthetic_prompts_say_so_and_repeat_with_their_seed() -> None:
    prompts = synthetic(3, 16, 2048, seed=1)
    assert all(p.synthetic and len(p.token_ids or ()) == 16 and p.text is None for p in prompts)
    assert prompts == synthetic(3, 16, 2048, seed=1) != synthetic(3, 16, 2048, seed=2)
    assert len({p.token_ids for p in prompts}) == 3


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    prompt_tokens=st.integers(4, 60),
    categories=st.lists(st.sampled_from("abc"), min_size=8, max_size=8),
)
def test_every_prompt_has_the_asked_length_or_there_is_too_little_text(
    lengths: list[int], prompt_tokens: int, categories: list[str]
) -> None:
    sources = [source(f"s{i}", words(f"s{i}x", n), categories[i]) for i, n in enumerate(lengths)]
    if sum(lengths) + 3 < prompt_tokens:
        with pytest.raises(UsageError, match="runs out"):
            fit(sources, by_words, prompt_tokens)
        return
    prompts = fit(sources, by_words, prompt_tokens)
    assert [len(p.token_ids or ()) for p in prompts] == [prompt_tokens] * len(lengths)
    assert [p.text and by_words([p.text])[0] for p in prompts] == [
        Encoded(HEAD, (p.token_ids or ())[2:-1], TAIL) for p in prompts
    ]


@pytest.mark.parametrize(("workload", "prompt_tokens"), [("demo", 64), ("demo", 512), ("demo", 1024), ("mixed", 1024)])
def test_real_prompts_reach_their_length_with_a_real_tokenizer(
    workload: str, prompt_tokens: int, demo_encode: Callable[[list[str]], list[Encoded]]
) -> None:
    sources = load(workload)
    prompts = fit(sources, demo_encode, prompt_tokens, 24)
    known = 0
    for prompt, text in zip(prompts, sources, strict=False):
        assert prompt.token_ids is not None and len(prompt.token_ids) == prompt_tokens
        head = (2,) if text.bos else ()
        if prompt.text is not None:
            known += 1
            assert prompt.token_ids == head + demo_encode([prompt.text])[0].content
    assert known >= 20


# ------------------------------------------------------------------------------------------- runtimes that take text


@pytest.mark.parametrize("length", [12, 37, 64, 300])
def test_text_is_cut_so_that_it_encodes_to_exactly_so_many_tokens(demo_encode: Encode, length: int) -> None:
    sources = load("demo")
    prompts = fit(sources, demo_encode, length, as_text=True)
    assert len(prompts) == len(sources)
    for prompt, encoded in zip(prompts, demo_encode([prompt.text or "" for prompt in prompts]), strict=True):
        assert prompt.token_ids is None
        assert len(encoded.head + encoded.content) == length


def test_the_runtime_s_own_bos_counts_also_for_excerpts(demo_encode: Encode) -> None:
    (prompt,) = fit([source("x", words("w", 50), bos=False)], demo_encode, 20, as_text=True)
    assert len(demo_encode([prompt.text or ""])[0].content) == 19


def test_text_that_no_cut_makes_so_long_is_refused() -> None:
    def in_pairs(texts: list[str]) -> list[Encoded]:
        return [Encoded((), (1, 2) * len(text), ()) for text in texts]

    assert fit([source("x", "abcdef")], in_pairs, 4, as_text=True)[0].text == "ab"
    with pytest.raises(UsageError, match="prompt x cannot be cut to exactly 5 tokens as text"):
        fit([source("x", "abcdef")], in_pairs, 5, as_text=True)
