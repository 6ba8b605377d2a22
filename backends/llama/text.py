"""Text to tokens through the server that will decode them: /tokenize, and /apply-template for chat.

The whole is always tokenized at once, as it will be sent. The pieces of its tokens, joined, are the text again, which
tells the tokens inside the content; one that crosses its edge belongs to head or tail, which are never cut.
"""

from collections.abc import Sequence
from typing import Any

import httpx

from backends.server import http
from results.errors import UsageError
from results.records import Encoded

MARK = "mtpbench-content-goes-here"
"""Stands for the content while a chat template is taken apart."""


def encode(server: httpx.Client, text: str, *, chat: bool, thinking: bool) -> Encoded:
    """`text` by the model's chat template where `chat`, else with the special tokens that the model file asks for.

    Raises UsageError where a chat template hides its content, or tokens do not spell the text.
    """
    if not chat:
        return _split(server, text, 0, len(text.encode()))
    parts = _render(server, MARK, thinking).split(MARK)
    if len(parts) != 2:
        raise UsageError(f"the model's chat template shows its content {len(parts) - 1} times, not once; use --raw")
    before, after = parts
    whole = _render(server, text, thinking)
    if not (whole.startswith(before) and whole.endswith(after)):
        raise UsageError("the model's chat template changes with its content, so it cannot be split; use --raw")
    return _split(server, whole, len(before.encode()), len(whole.encode()) - len(after.encode()))


def _render(server: httpx.Client, content: str, thinking: bool) -> str:
    """One user turn and the start of the answer, without <bos>, which /tokenize adds."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": content}],
        "chat_template_kwargs": {"enable_thinking": thinking},
    }
    return str(http.post(server, "/apply-template", body)["prompt"])


def _split(server: httpx.Client, text: str, start: int, end: int) -> Encoded:
    """start, end: of the content, in bytes of `text`."""
    whole, bare = (_tokens(server, text, special=special) for special in (True, False))
    ids, body = [token for token, _ in whole], [token for token, _ in bare]
    if not body:
        return Encoded(tuple(ids), (), ())
    first = next((i for i in range(len(ids) - len(body) + 1) if ids[i : i + len(body)] == body), None)
    if first is None:
        raise UsageError("the tokenizer splits a text otherwise once special tokens are added; prompts cannot be cut")
    at = _edges([piece for _, piece in bare], text.encode())
    inside = [i for i in range(len(body)) if start <= at[i] and at[i + 1] <= end]
    if not inside:
        cut = first + next((i for i in range(len(body)) if at[i] >= end), len(body))
        return Encoded(tuple(ids[:cut]), (), tuple(ids[cut:]))
    head, tail = first + inside[0], first + inside[-1] + 1
    return Encoded(tuple(ids[:head]), tuple(ids[head:tail]), tuple(ids[tail:]))


def _edges(pieces: Sequence[bytes], text: bytes) -> list[int]:
    """Where each piece begins in `text`, and where the last one ends. Some tokenizers put a blank before all of it."""
    joined = b"".join(pieces)
    added = len(joined) - len(text) if joined == b" " + text else 0
    if joined[added:] != text:
        raise UsageError("the tokens of a text do not spell it, so that prompts cannot be cut to length")
    edges = [0]
    for piece in pieces:
        edges.append(edges[-1] + len(piece))
    return [max(edge - added, 0) for edge in edges]


def _tokens(server: httpx.Client, text: str, *, special: bool) -> list[tuple[int, bytes]]:
    """Ids with their bytes. Marks like <|turn> in the text are parsed, as the other runtimes' tokenizers do."""
    body = {"content": text, "add_special": special, "parse_special": True, "with_pieces": True}
    return [(int(token["id"]), _bytes(token["piece"])) for token in http.post(server, "/tokenize", body)["tokens"]]


def _bytes(piece: str | list[int]) -> bytes:
    """A piece that is no whole UTF-8 comes as a list of bytes."""
    return piece.encode() if isinstance(piece, str) else bytes(piece)
