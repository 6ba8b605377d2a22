"""A pair whose acceptance is known by construction, of the genuine Gemma 4 classes with weights set by hand.

The target walks a fixed cycle of tokens: after token t comes `after(t)`, whatever stood before. The drafter walks the
same cycle, but is wrong after a chosen set of tokens. How:

    embeddings are one-hot         the residual stream at a position is the token itself
    every layer adds 0             its two output norms have weight 0 (attention and MLP run, and come to nothing)
    the target's head              a permutation: row after(t) reads token t
    the drafter's first projection takes the embedding and leaves the target's hidden state out
    the drafter's head             row draft(t) reads token t

So whether a draft is accepted depends on the token before it alone, and rounds can be worked out without a model.
"""

import json
import random
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from results.records import Pair

DEMO = Path(__file__).parents[2] / "workloads" / "data" / "demo"
VOCAB = 64
"""Tokens, and hidden units: one for each."""
EOS = 1
SPECIAL = 4
"""Tokens below this are not walked."""


@dataclass(frozen=True)
class Walk:
    """A cycle through tokens, and where along it the drafter errs."""

    cycle: tuple[int, ...]
    wrong: frozenset[int]
    """Tokens after which the drafter drafts something else than the target's token."""

    def after(self, token: int) -> int:
        """The token that the target puts after this one."""
        return self.cycle[(self.cycle.index(token) + 1) % len(self.cycle)]

    def draft(self, token: int) -> int:
        """The token that the drafter puts after this one."""
        return self.after(self.after(token)) if token in self.wrong else self.after(token)

    def text(self, last: int, length: int) -> list[int]:
        """`length` tokens after a prompt that ends in `last`."""
        tokens = [last]
        while len(tokens) <= length:
            tokens.append(self.after(tokens[-1]))
        return tokens[1:]

    def rounds(self, last: int, k: int, length: int) -> list[tuple[int, int, int]]:
        """(drafted, accepted, emitted) of every round, by the definition of speculative decoding, no model involved.

        last: the prompt's last token; length: the output limit in tokens, the prefill's token included.
        """
        token, left = self.after(last), length - 1
        rounds = []
        while left > 0:
            drafted = min(k, left - 1)
            accepted = 0
            while accepted < drafted and self.draft(token) == self.after(token):
                token = self.after(token)
                accepted += 1
            token = self.after(token)  # the target's own token: a correction, or the bonus where all were accepted
            rounds.append((drafted, accepted, accepted + 1))
            left -= accepted + 1
        return rounds


def walk(wrong_share: float, seed: int) -> Walk:
    """A random cycle through all tokens but the special ones; the drafter errs after this share of them."""
    rng = random.Random(seed)
    cycle = rng.sample(range(SPECIAL, VOCAB), VOCAB - SPECIAL)
    return Walk(tuple(cycle), frozenset(rng.sample(cycle, round(wrong_share * len(cycle)))))


def wrong_every(n: int) -> Walk:
    """The cycle in the order of ids; the drafter errs after every n-th token of it (the n-th, the 2n-th, ...)."""
    cycle = tuple(range(SPECIAL, VOCAB))
    return Walk(cycle, frozenset(cycle[n - 1 :: n]))


def write(folder: Path, path: Walk) -> Pair:
    """The pair as two checkpoints in `folder`, with the demo pair's tokenizer (its first ids are all it needs)."""
    text = {
        **_config(DEMO / "target"),
        **_shape(layers=2),
        "layer_types": ["sliding_attention", "full_attention"],
        "num_kv_shared_layers": 0,
    }
    target = hf.Gemma4ForCausalLM(hf.Gemma4TextConfig(**text))
    config = _config(DEMO / "assistant") | {"backbone_hidden_size": VOCAB, "tie_word_embeddings": False}
    config["text_config"] |= _shape(layers=2)
    drafter = hf.Gemma4AssistantForCausalLM(hf.Gemma4AssistantConfig(**config))
    with torch.no_grad():
        for model in (target, drafter):
            _silence(model)
        target.lm_head.weight.copy_(_head((token, path.after(token)) for token in path.cycle))
        drafter.lm_head.weight.copy_(_head((token, path.draft(token)) for token in path.cycle))
        drafter.pre_projection.weight.copy_(torch.eye(VOCAB, 2 * VOCAB))
        drafter.post_projection.weight.zero_()
    drafter.generation_config.num_assistant_tokens = 1
    target.save_pretrained(folder / "target")
    drafter.save_pretrained(folder / "assistant")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEMO / "target" / name, folder / "target" / name)
    return Pair("permutation", str(folder / "target"), str(folder / "assistant"))


def _shape(layers: int) -> dict[str, Any]:
    return {
        "hidden_size": VOCAB,
        "vocab_size": VOCAB,
        "intermediate_size": 8,
        "num_hidden_layers": layers,
        "sliding_window": 16,
        "eos_token_id": EOS,
        "tie_word_embeddings": False,
    }


def _silence(model: Any) -> None:
    """Leave of a model only what its embedding says: one-hot tokens, and layers that add nothing to them."""
    model.model.embed_tokens.weight.copy_(torch.eye(VOCAB))
    for layer in model.model.layers:
        layer.post_attention_layernorm.weight.zero_()
        layer.post_feedforward_layernorm.weight.zero_()


def _head(steps: Iterable[tuple[int, int]]) -> torch.Tensor:
    """[vocabulary, hidden]: for each (token, next) the row of `next` reads `token`."""
    head = torch.zeros(VOCAB, VOCAB)
    for token, following in steps:
        head[following, token] = 1.0
    return head


def _config(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    for key in ("architectures", "transformers_version", "dtype"):
        config.pop(key, None)
    return config
