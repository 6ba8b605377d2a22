"""Text to tokens, split into what comes before the content, the content, and what comes after it.

The whole is always tokenized at once, as it will be sent: head + content + tail is exactly that. Offsets tell
which tokens lie inside the content; a token that crosses its edge belongs to head or tail, which are never cut.
"""

from collections.abc import Sequence

from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from results.errors import UsageError
from results.records import Encoded

MARK = "mtpbench-content-goes-here"
"""Stands for the content while a chat template is taken apart."""


def encode(tokenizer: PreTrainedTokenizerBase, text: str, *, chat: bool, thinking: bool) -> Encoded:
    """`text` by the model's chat template where `chat`, else with the special tokens the tokenizer itself adds.

    Raises UsageError where a chat template hides its content, or a tokenizer gives no offsets.
    """
    if not chat:
        return _split(tokenizer, text, 0, len(text), special=True)
    before, after = _frame(tokenizer, thinking)
    whole = _render(tokenizer, text, thinking)
    if not (whole.startswith(before) and whole.endswith(after)):
        raise UsageError("the model's chat template changes with its content, so it cannot be split; use --raw")
    return _split(tokenizer, whole, len(before), len(whole) - len(after), special=False)


def _frame(tokenizer: PreTrainedTokenizerBase, thinking: bool) -> tuple[str, str]:
    parts = _render(tokenizer, MARK, thinking).split(MARK)
    if len(parts) != 2:
        raise UsageError(f"the model's chat template shows its content {len(parts) - 1} times, not once; use --raw")
    return parts[0], parts[1]


def _render(tokenizer: PreTrainedTokenizerBase, content: str, thinking: bool) -> str:
    """One user turn and the start of the answer. Templates without a thinking mode ignore the flag."""
    turn = [{"role": "user", "content": content}]
    rendered = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True, enable_thinking=thinking)
    assert isinstance(rendered, str)
    return rendered


def _split(tokenizer: PreTrainedTokenizerBase, whole: str, start: int, end: int, *, special: bool) -> Encoded:
    if not tokenizer.is_fast:
        raise UsageError(f"{type(tokenizer).__name__} gives no offsets; mtpbench needs the model's tokenizer.json")
    encoding = tokenizer(
        whole, add_special_tokens=special, return_offsets_mapping=True, return_special_tokens_mask=special
    )
    ids: Sequence[int] = encoding["input_ids"]
    added: Sequence[int] = encoding["special_tokens_mask"] if special else [0] * len(ids)
    spans = list(zip(added, encoding["offset_mapping"], strict=True))
    inside = [not extra and start <= first and last <= end for extra, (first, last) in spans]
    if True not in inside:
        cut = next((i for i, (extra, (first, _)) in enumerate(spans) if not extra and first >= end), len(ids))
        return Encoded(tuple(ids[:cut]), (), tuple(ids[cut:]))
    head, tail = inside.index(True), len(inside) - inside[::-1].index(True)
    return Encoded(tuple(ids[:head]), tuple(ids[head:tail]), tuple(ids[tail:]))
