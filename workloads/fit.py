"""Prompts of exact length, cut or joined from real text.

Random tokens distort acceptance, expert routing and throughput, so that nothing here invents text: what is too
short is joined with further texts of the same workload, each at most once within a prompt, and what is too long is
cut. Ids are random only in `synthetic`, whose prompts say so.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from results.errors import UsageError
from results.records import Encoded, Prompt
from workloads.source import Source

Encode = Callable[[list[str]], list[Encoded]]
"""Texts in the target's tokens, in order; chat template and thinking mode are settled inside (see `framing`)."""

JOINT = "\n\n"
"""Between two joined texts."""

LONGEST_TOKEN = 16
"""Characters searched after a token count is first reached for the end of its last token."""

_Draft = tuple[str, Encoded]
"""A prompt on its way: its text so far, and that text's tokens."""


def fit(
    sources: Sequence[Source],
    encode: Encode | None,
    prompt_tokens: int | None,
    count: int | None = None,
    *,
    longest: int | None = None,
    as_text: bool = False,
) -> list[Prompt]:
    """The first `count` sources (None: all) as distinct prompts of exactly `prompt_tokens` tokens each.

    A prompt is head + content[:room] + tail, the frame (chat template, <bos>) included in its length.
    prompt_tokens: None keeps every text's own length. encode: None where the runtime shows no tokens; prompts then
    travel as text, at their own length. longest: the most tokens a prompt may have, context less output.
    as_text: the runtime takes text and puts the frame round it by itself; prompts carry no ids, and a text that is cut
    encodes to exactly as many tokens, which in the middle of a word may be others than the whole's.
    Raises UsageError where the workload is too small, its texts run out, or the target's context is too short.
    """
    if as_text:
        sources = [replace(source, bos=True) for source in sources]
    if prompt_tokens is not None and longest is not None and prompt_tokens > longest:
        raise UsageError(f"prompts of {prompt_tokens} tokens do not fit: the target's context leaves {longest}")
    chosen = _choose(sources, count)
    if encode is None:
        if prompt_tokens is not None:
            raise UsageError(f"no prompts of {prompt_tokens} tokens: this runtime shows no tokens; leave -p out")
        return _distinct([_prompt(source, source.text, None) for source in chosen])
    encoded = [_framed(s, e) for s, e in zip(chosen, encode([s.text for s in chosen]), strict=True)]
    drafts = list(zip([s.text for s in chosen], encoded, strict=True))
    if prompt_tokens is None:
        _check_longest(chosen, encoded, longest)
        return _distinct([_prompt(s, text, _ids(e)) for s, (text, e) in zip(chosen, drafts, strict=True)])
    drafts = _extend(chosen, drafts, sources, encode, prompt_tokens)
    cuts = [Encoded(e.head, e.content[: _room(e, prompt_tokens)], e.tail) for _, e in drafts]
    texts = _cut_texts([text for text, _ in drafts], [cut.content for cut in cuts], encode, any_tokens=as_text)
    if as_text and None in texts:
        raise UsageError(
            f"prompt {chosen[texts.index(None)].key} cannot be cut to exactly {prompt_tokens} tokens as text, which is "
            "what this runtime takes: ask for another length, or leave -p out"
        )
    ids = [None if as_text else _ids(cut) for cut in cuts]
    return _distinct([_prompt(*each) for each in zip(chosen, texts, ids, strict=True)])


def synthetic(count: int, prompt_tokens: int, vocab_size: int, seed: int) -> list[Prompt]:
    """Prompts of random ids, labelled synthetic: for cost studies only, and only where asked for."""
    draw = random.Random(seed)
    return [
        Prompt(
            key=f"random/{i:03}",
            workload="random",
            category="random",
            token_ids=tuple(draw.randrange(vocab_size) for _ in range(prompt_tokens)),
            text=None,
            synthetic=True,
        )
        for i in range(count)
    ]


def _choose(sources: Sequence[Source], count: int | None) -> list[Source]:
    if not sources:
        raise UsageError("the workload holds no prompts: choose another workload or other categories")
    if count is not None and count > len(sources):
        raise UsageError(
            f"workload {_name(sources)} holds {len(sources)} prompts, not {count}: "
            "ask for fewer prompts or a smaller batch, or choose a larger workload"
        )
    return list(sources[:count])


def _framed(source: Source, encoded: Encoded) -> Encoded:
    """Without its head where the text starts in the middle of a document."""
    return encoded if source.bos else Encoded((), encoded.content, encoded.tail)


def _room(encoded: Encoded, prompt_tokens: int) -> int:
    """Tokens left for the content between head and tail."""
    frame = len(encoded.head) + len(encoded.tail)
    if prompt_tokens <= frame:
        raise UsageError(
            f"prompts of {prompt_tokens} tokens are too short: {frame} of them are the chat template's or <bos>; "
            f"ask for at least {frame + 1}, or leave a template out with --raw"
        )
    return prompt_tokens - frame


def _extend(
    chosen: Sequence[Source], drafts: list[_Draft], pool: Sequence[Source], encode: Encode, prompt_tokens: int
) -> list[_Draft]:
    """Joins further texts of `pool` to every draft that is too short, until none is.

    Texts of the draft's own category come first, those used least come first among them, so that prompts share as
    little text as the workload allows.
    """
    drafts, used = list(drafts), Counter[str]()
    donors = [[*pool[i + 1 :], *pool[:i]] for i in range(len(chosen))]  # neighbours do not all take the same one
    while short := [i for i, (_, e) in enumerate(drafts) if len(e.content) < _room(e, prompt_tokens)]:
        texts = []
        for i in short:
            text, encoded = drafts[i]
            if not donors[i]:
                raise UsageError(
                    f"workload {_name(pool)} runs out: all its {len(pool)} texts together make a prompt of "
                    f"{len(_ids(encoded))} tokens, not {prompt_tokens}; ask for shorter prompts or add text"
                )
            missing = _room(encoded, prompt_tokens) - len(encoded.content)
            wanted = len(text) * missing / max(1, len(encoded.content))  # characters, at this text's own rate
            joined = 0
            while donors[i] and joined <= wanted:
                donor = min(donors[i], key=lambda s: (s.category != chosen[i].category, used[s.key]))
                donors[i].remove(donor)
                used[donor.key] += 1
                text += JOINT + donor.text
                joined += len(donor.text)
            texts.append(text)
        for i, text, encoded in zip(short, texts, encode(texts), strict=True):
            drafts[i] = (text, _framed(chosen[i], encoded))
    return drafts


def _cut_texts(
    texts: Sequence[str], contents: Sequence[tuple[int, ...]], encode: Encode, *, any_tokens: bool
) -> list[str | None]:
    """For each text the beginning that encodes to exactly these tokens; None where there is none.

    Bisects all texts together: the number of tokens grows with the length of the beginning. A cut inside a word may
    encode differently from the whole, and then the tokens stand without a text. any_tokens: as many others will do.
    """
    low, high = [0] * len(texts), [len(text) for text in texts]
    while any(a < b for a, b in zip(low, high, strict=True)):
        middle = [(a + b) // 2 for a, b in zip(low, high, strict=True)]
        counts = [len(e.content) for e in encode([t[:m] for t, m in zip(texts, middle, strict=True)])]
        for i, (count, content) in enumerate(zip(counts, contents, strict=True)):
            if low[i] < high[i]:
                low[i], high[i] = (middle[i] + 1, high[i]) if count < len(content) else (low[i], middle[i])
    found: list[str | None] = [None] * len(texts)
    as_long: list[str | None] = [None] * len(texts)
    for extra in range(LONGEST_TOKEN):
        left = [i for i, text in enumerate(found) if text is None and low[i] + extra <= len(texts[i])]
        if not left:
            break
        for i, e in zip(left, encode([texts[i][: low[i] + extra] for i in left]), strict=True):
            text = texts[i][: low[i] + extra]
            found[i] = text if e.content == contents[i] else None
            as_long[i] = as_long[i] or (text if len(e.content) == len(contents[i]) else None)
    return [text or (other if any_tokens else None) for text, other in zip(found, as_long, strict=True)]


def _ids(encoded: Encoded) -> tuple[int, ...]:
    return encoded.head + encoded.content + encoded.tail


def _prompt(source: Source, text: str | None, ids: tuple[int, ...] | None) -> Prompt:
    return Prompt(key=source.key, workload=source.workload, category=source.category, token_ids=ids, text=text)


def _check_longest(sources: Sequence[Source], encoded: Sequence[Encoded], longest: int | None) -> None:
    for source, e in zip(sources, encoded, strict=True):
        if longest is not None and len(_ids(e)) > longest:
            raise UsageError(
                f"prompt {source.key} has {len(_ids(e))} tokens and the target's context leaves {longest} for it: "
                "cut prompts to length with -p, or choose other categories"
            )


def _distinct(prompts: list[Prompt]) -> list[Prompt]:
    """The prompts as they are. Raises UsageError where two are equal: each must be evidence of its own."""
    first: dict[object, Prompt] = {}
    for prompt in prompts:
        twin = first.setdefault(prompt.token_ids or prompt.text, prompt)
        if twin is not prompt:
            length = "" if prompt.token_ids is None else f" at {len(prompt.token_ids)} tokens"
            raise UsageError(
                f"prompts {twin.key} and {prompt.key} are the same{length}: "
                "take one of them out, or ask for longer prompts"
            )
    return prompts


def _name(sources: Sequence[Source]) -> str:
    return " + ".join(dict.fromkeys(source.workload for source in sources))
