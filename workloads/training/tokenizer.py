"""The tokenizer: BPE with byte fallback and the "▁" marker, the form of Gemma's own.

llama.cpp's converter takes this form and refuses byte-level BPE.
"""

import json
from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

BOS, EOS, END_OF_TURN = "<bos>", "<eos>", "<turn|>"
SPECIAL = ("<pad>", EOS, BOS, "<unk>", "<mask>", "<|turn>", END_OF_TURN)
"""In the order of their ids, which are Gemma's for the first five."""
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
PRINTABLE = [chr(code) for code in range(33, 127)] + ["▁", "\n"]
RARE_CHARACTERS = 4
"""How many characters beyond these get a token of their own; the rest are spelled in bytes."""
LEAST_VOCABULARY = len(SPECIAL) + len(BYTES) + len(PRINTABLE) + RARE_CHARACTERS

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n"
    "{{ m['content'] | trim }}<turn|>\n{% endfor %}{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)


def train(texts: Iterable[str], vocab: int) -> Tokenizer:
    """Learn `vocab` tokens from `texts`; encoding a text puts <bos> before it, as Gemma's tokenizer does."""
    learner = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    _shape(learner)
    learner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab,
            special_tokens=[*SPECIAL, *BYTES],
            initial_alphabet=PRINTABLE,
            limit_alphabet=len(PRINTABLE) + RARE_CHARACTERS,
            show_progress=False,
        ),
    )
    # The trainer makes the 256 byte tokens special, so the text "<0x41>" would become one of them: build again
    # with the same vocabulary, where only the seven are.
    learnt = json.loads(learner.to_str())["model"]
    merges = [(left, right) for left, right in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(learnt["vocab"], merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    _shape(tokenizer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B", special_tokens=[(BOS, SPECIAL.index(BOS))]
    )
    return tokenizer


def _shape(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\n", "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
