"""GGUF headers, whole, cut and hostile, and which drafters fit which targets."""

import struct
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from the_gguf_pair import DRAFTER, PAIR, TARGET

from backends.llama import fit, gguf
from results.errors import UsageError
from results.records import Draft

MTP, SMALL, LOOKUP, EAGLE = Draft("mtp", 4), Draft("draft-model", 4), Draft("prompt-lookup", 4), Draft("eagle3", 4)


def model(architecture: str, vocab: int | None = 2048, **keys: int) -> gguf.Model:
    named = {f"{architecture}.{key}": value for key, value in keys.items()}
    lengths = {} if vocab is None else {"tokenizer.ggml.tokens": vocab}
    return gguf.Model(Path("m.gguf"), {"general.architecture": architecture, **named}, lengths, 1)


def test_the_demo_pair_says_what_it_is() -> None:
    target, drafter = gguf.read(TARGET), gguf.read(DRAFTER)
    assert (target.architecture, target.dtype, target.vocab_size) == ("gemma4", "float32", 2048)
    assert (target.number("context_length"), target.number("embedding_length")) == (2048, 128)
    assert "<|turn>" in str(target.keys["tokenizer.chat_template"])
    assert (drafter.architecture, drafter.number("embedding_length_out")) == ("gemma4-assistant", 128)
    assert fit.problems(MTP, target, drafter) == []
    assert fit.problems(None, target, None) == fit.problems(LOOKUP, target, None) == []


def test_quantised_files_are_named_as_llama_cpp_names_them() -> None:
    kind = gguf.Model(Path("m"), {"general.file_type": 15}, {}, 1)
    assert kind.dtype == "Q4_K_M"
    assert gguf.Model(Path("m"), {"general.file_type": 32}, {}, 1).dtype == "bfloat16"
    assert gguf.Model(Path("m"), {"general.file_type": 999}, {}, 1).dtype == "type 999"
    assert gguf.Model(Path("m"), {}, {}, 1).dtype == "unknown"


@pytest.mark.parametrize("path", ["/no/such/file.gguf", "/", "google/gemma-4"])
def test_what_is_no_file_is_refused_in_one_line(path: str) -> None:
    with pytest.raises(UsageError, match=r"^.+ is no GGUF model file: .+$"):
        gguf.read(path)


@pytest.mark.parametrize("length", [0, 3, 4, 10, 24, 100, 5000])
def test_a_cut_header_is_refused(tmp_path: Path, length: int) -> None:
    file = tmp_path / "cut.gguf"
    file.write_bytes(Path(TARGET).read_bytes()[:length])
    with pytest.raises(UsageError, match="is no GGUF model file"):
        gguf.read(str(file))


@given(st.binary(max_size=200))
def test_no_bytes_after_the_magic_do_more_than_be_refused_or_read(rest: bytes) -> None:
    with NamedTemporaryFile(suffix=".gguf") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + rest)
        file.flush()
        with suppress(UsageError):  # anything else fails the test
            gguf.read(file.name)


def test_a_count_beyond_the_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    key = struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 8, 1 << 40)  # an array of 2^40 texts
    file = tmp_path / "huge.gguf"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key)
    with pytest.raises(UsageError, match="more than it can hold"):
        gguf.read(str(file))


ASSISTANT = model("gemma4-assistant", embedding_length_out=128, nextn_predict_layers=2)
GEMMA = model("gemma4", embedding_length=128)


@pytest.mark.parametrize(
    ("draft", "target", "drafter", "told"),
    [
        (MTP, GEMMA, None, "no drafter is named and the target has no MTP layers of its own"),
        (SMALL, GEMMA, None, "no drafter is named"),
        (MTP, GEMMA, GEMMA, "holds no MTP layers (architecture gemma4)"),
        (MTP, model("gemma4", embedding_length=256), ASSISTANT, "expects hidden size 128, the target has 256"),
        (MTP, model("gemma4", 4096, embedding_length=128), ASSISTANT, "2,048 tokens in the drafter, 4,096 in the"),
        (MTP, model("qwen3", embedding_length=128), ASSISTANT, "drafts for gemma4, not for qwen3"),
        (SMALL, GEMMA, ASSISTANT, "no model of its own (gemma4-assistant), it needs --method mtp"),
        (SMALL, GEMMA, model("eagle3", None), "needs --method eagle3"),
        (EAGLE, GEMMA, GEMMA, "is no EAGLE-3 head"),
        (Draft("native-mtp", 4), GEMMA, ASSISTANT, "the target has no MTP layers of its own"),
        (None, ASSISTANT, None, "the target is itself a drafter"),
    ],
)
def test_a_drafter_that_does_not_fit_is_told_in_one_line(
    draft: Draft | None, target: gguf.Model, drafter: gguf.Model | None, told: str
) -> None:
    assert told in "; ".join(fit.problems(draft, target, drafter))
    with pytest.raises(UsageError) as caught:
        fit.refuse(PAIR, draft, target, drafter)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_fits_is_let_through() -> None:
    assert fit.problems(MTP, GEMMA, ASSISTANT) == []
    assert fit.problems(MTP, model("qwen35", nextn_predict_layers=1), None) == []
    assert fit.problems(Draft("native-mtp", 4), model("qwen35", nextn_predict_layers=1), None) == []
    assert fit.problems(SMALL, GEMMA, GEMMA) == []
    assert fit.problems(EAGLE, GEMMA, model("eagle3", None)) == []
