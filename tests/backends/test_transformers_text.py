"""Text to tokens: always what the model would be sent, split where the content may be cut."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backends.hf import encoding
from backends.hf.decoding import DecodingSession
from results.errors import UsageError
from results.records import Encoded, Prompt, Request

pytestmark = pytest.mark.model

BOS, TURN, END = 2, 5, 6
TEXTS = [
    "def f(x):\n    return x\n",
    "naïve 你好 🌍🏳️‍🌈 عربى \u200d",
    "x",
    " leading and trailing ",
    "a\n\n\n",
    "ｆｕｌｌ width",
]


@pytest.fixture
def tokenizer(demo: DecodingSession):
    return demo._models.tokenizer


def joined(encoded: Encoded) -> list[int]:
    return [*encoded.head, *encoded.content, *encoded.tail]


@pytest.mark.parametrize("text", TEXTS)
def test_raw_text_is_what_the_tokenizer_itself_makes_of_it(demo: DecodingSession, tokenizer, text: str) -> None:
    encoded = demo.encode(text, chat=False, thinking=False)
    assert joined(encoded) == tokenizer(text)["input_ids"]
    assert (encoded.head, encoded.tail) == ((BOS,), ())
    assert tokenizer.decode(list(encoded.content)) == text


@pytest.mark.parametrize("text", TEXTS)
def test_a_chat_turn_is_what_the_template_makes_of_it(demo: DecodingSession, tokenizer, text: str) -> None:
    encoded = demo.encode(text, chat=True, thinking=False)
    turn = [{"role": "user", "content": text}]
    assert joined(encoded) == tokenizer.apply_chat_template(turn, add_generation_prompt=True)["input_ids"]
    assert encoded.head[:2] == (BOS, TURN)
    assert encoded.tail[0] == END
    assert tokenizer.decode(list(encoded.content)).strip() == text.strip()


@given(st.text(max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_loses_a_token_to_the_split(demo: DecodingSession, tokenizer, text: str) -> None:
    assert joined(demo.encode(text, chat=False, thinking=False)) == tokenizer(text)["input_ids"]
    turn = [{"role": "user", "content": text}]
    whole = tokenizer.apply_chat_template(turn, add_generation_prompt=True)["input_ids"]
    assert joined(demo.encode(text, chat=True, thinking=True)) == whole


def test_an_empty_text_has_a_frame_and_no_content(demo: DecodingSession) -> None:
    assert demo.encode("", chat=False, thinking=False) == Encoded((BOS,), (), ())
    framed = demo.encode("", chat=True, thinking=False)
    assert (framed.content, framed.head[0], framed.tail[0]) == ((), BOS, END)


def test_the_thinking_flag_reaches_the_template(tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    template = "{{ '<think>' if enable_thinking else '' }}{{ messages[0]['content'] }}!"
    monkeypatch.setattr(tokenizer, "chat_template", template)
    on = encoding.encode(tokenizer, "hello", chat=True, thinking=True)
    off = encoding.encode(tokenizer, "hello", chat=True, thinking=False)
    assert len(on.head) > len(off.head)
    assert (on.content, on.tail) == (off.content, off.tail)


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("{{ messages[0]['content'] }}{{ messages[0]['content'] }}", "shows its content 2 times, not once"),
        ("fixed", "shows its content 0 times"),
        ("{{ messages[0]['content'] | length }}{{ messages[0]['content'] }}", "changes with its content"),
    ],
)
def test_a_template_that_cannot_be_split_is_refused(
    tokenizer, monkeypatch: pytest.MonkeyPatch, template: str, complaint: str
) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", template)
    with pytest.raises(UsageError, match=complaint):
        encoding.encode(tokenizer, "hello", chat=True, thinking=False)


def test_a_prompt_with_ids_is_sent_as_it_is_and_one_with_text_is_encoded_raw(demo: DecodingSession) -> None:
    ids = demo.encode("import os\n", chat=False, thinking=False)
    as_text = demo.generate([Prompt("a", "w", "c", None, "import os\n")], Request(3))[0]
    as_ids = demo.generate([Prompt("a", "w", "c", (*ids.head, *ids.content), "something else")], Request(3))[0]
    without_bos = demo.generate([Prompt("a", "w", "c", ids.content, None)], Request(3))[0]
    assert as_text.token_ids == as_ids.token_ids
    assert as_ids.prompt_tokens == len(ids.content) + 1
    assert without_bos.prompt_tokens == len(ids.content)
