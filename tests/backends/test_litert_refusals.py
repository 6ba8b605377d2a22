"""What LiteRT-LM's adapter refuses: before it loads anything, and before it decodes. Needs the real runtime."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hosted import hosted, needs
from the_litert_bundle import BUNDLE, ENGINE, PAIR

import backends.litert as adapter
from backends.base import Session
from backends.litert import Adapter
from results.errors import UsageError
from results.records import Draft, EngineConfig, Pair, Prompt, Request, Sampling

needs_litert = [pytest.mark.model, needs("litert")]
PROMPT = Prompt("p", "w", "coding", None, "import os\n")


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with hosted("litert", PAIR, replace(ENGINE, options={"max_num_tokens": 256})) as session:
        yield session


def test_a_missing_runtime_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "installed", lambda package: None)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("sys.platform", "linux")
    found = Adapter().probe()
    assert (found.usable, found.version, found.advice) == (False, None, "mtpbench env create litert")
    assert "litert-lm-api is not installed" in found.reason


def test_a_platform_without_a_wheel_is_told_so_and_advised_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "installed", lambda package: None)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr("sys.platform", "linux")
    found = Adapter().probe()
    assert "no wheel for linux aarch64" in found.reason
    assert found.advice == ""


class TestOpening:
    pytestmark = needs_litert

    @pytest.mark.parametrize(
        ("engine", "words"),
        [
            (replace(ENGINE, draft=Draft("mtp", 3)), "drafts 4 tokens a round, fixed at export: -k 4"),
            (replace(ENGINE, dtype="bfloat16"), "holds float32 weights, fixed at export"),
            (replace(ENGINE, methods=("draft-model",)), "no draft method 'draft-model'"),
            (replace(ENGINE, device="cuda"), "--device cuda: LiteRT-LM computes on cpu"),
            (replace(ENGINE, options={"backend": "tpu"}), "'tpu' is none of cpu, gpu, npu"),
            (replace(ENGINE, options={"bakend": "cpu"}), "litert has no option 'bakend': did you mean litert.backend?"),
            (
                replace(ENGINE, options={"max_num_tokens": "many"}),
                "litert.max_num_tokens: expected a whole number of at least 1, not 'many'",
            ),
            (replace(ENGINE, options={"max_num_tokens": 4096}), "4096 is not in 1 to 512"),
            (replace(ENGINE, device="auto", options={"backend": "npu"}), "cannot be loaded on npu: NPU is supported"),
        ],
    )
    def test_settings_that_cannot_be(self, engine: EngineConfig, words: str) -> None:
        assert words in refused(PAIR, engine)

    def test_files_that_are_no_pair(self, tmp_path: Path) -> None:
        text = tmp_path / "readme.litertlm"
        text.write_text("hello")
        bare = tmp_path / "bare.litertlm"
        bare.write_bytes(BUNDLE.read_bytes().replace(b"tf_lite_mtp_drafter", b"tf_lite_mtp_drafted"))
        assert "is no LiteRT-LM bundle" in refused(Pair("p", str(text), None), ENGINE)
        assert "cannot be read: No such file" in refused(Pair("p", str(tmp_path / "none"), None), ENGINE)
        assert "holds no MTP drafter" in refused(Pair("p", str(bare), None), ENGINE)
        assert "a section of the target's bundle" in refused(Pair("p", str(BUNDLE), str(bare)), ENGINE)

    def test_a_bundle_that_the_engine_rejects_points_to_the_log(self, tmp_path: Path) -> None:
        broken = tmp_path / "broken.litertlm"
        data = bytearray(BUNDLE.read_bytes())
        data[16_384:16_392] = b"\xff" * 8  # the model's metadata
        broken.write_bytes(data)
        assert "cannot be loaded on cpu" in refused(Pair("p", str(broken), None), ENGINE)


class TestDecoding:
    pytestmark = needs_litert

    @pytest.mark.parametrize(
        ("request_", "words"),
        [
            (Request(8, Draft("mtp", 3)), "drafts 4 tokens a round, fixed at export, not 3"),
            (Request(8, Draft("eagle", 4)), "no draft method 'eagle'"),
            (Request(8, sampling=Sampling(0.7)), "temperature 0 only"),
            (Request(8, ignore_eos=True), "cannot run past the end"),
            (Request(256), "of 256 the output leaves 0"),
        ],
    )
    def test_what_the_runtime_cannot_do(self, session: Session, request_: Request, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            session.generate([PROMPT], request_)

    def test_a_prompt_of_ids_only(self, session: Session) -> None:
        with pytest.raises(ValueError, match="takes text"):
            session.generate([Prompt("p", "w", "coding", (5, 6, 7), None)], Request(8))

    def test_the_last_round_needs_room_beyond_the_limit(self, session: Session) -> None:
        (plain,) = session.generate([PROMPT], Request(8))
        assert plain.prompt_tokens is not None
        room = 256 - plain.prompt_tokens
        (whole,) = session.generate([PROMPT], Request(room))
        assert whole.n_tokens == room  # not cut short where the context ends
        with pytest.raises(ValueError, match="the output leaves"):
            session.generate([PROMPT], Request(room + 1))
        with pytest.raises(ValueError, match="the output leaves"):
            session.generate([PROMPT], Request(room - 3, Draft("mtp", 4)))
        (drafted,) = session.generate([PROMPT], Request(room - 4, Draft("mtp", 4)))
        assert drafted.finish_reason == "length"

    def test_without_mtp_among_its_methods_an_engine_does_not_draft(self) -> None:
        with hosted("litert", PAIR, replace(ENGINE, methods=())) as session:
            assert session.facts.drafter_bytes is None
            with pytest.raises(ValueError, match="opened without its drafter"):
                session.generate([PROMPT], Request(8, Draft("mtp", 4)))


def refused(pair: Pair, engine: EngineConfig) -> str:
    with pytest.raises(UsageError) as caught, hosted("litert", pair, engine):
        pytest.fail("it opened")
    assert "\n" not in str(caught.value)
    return str(caught.value)
