"""A drafter that cannot draft for its target is refused from the two config.json, in one line that says why."""

import json
from pathlib import Path
from typing import Any

import pytest
from the_demo_pair import DEMO

from backends import fit
from results.errors import UsageError
from results.records import Pair

TARGET = json.loads((DEMO / "target" / "config.json").read_text())
ASSISTANT = json.loads((DEMO / "assistant" / "config.json").read_text())


def nested(config: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return config | {"text_config": config["text_config"] | changes}


def test_the_demo_pair_fits() -> None:
    assert fit.problems("mtp", TARGET, ASSISTANT) == []


def test_a_multimodal_target_is_judged_by_its_language_model() -> None:
    multimodal = {"model_type": "gemma4", "text_config": TARGET, "vision_config": {"hidden_size": 7}}
    assert fit.problems("mtp", multimodal, ASSISTANT) == []


def test_a_unified_pair_fits_and_does_not_mix_with_the_other_family() -> None:
    unified = {"model_type": "gemma4_unified", "text_config": {"hidden_size": 3840, "vocab_size": 262_144}}
    drafter = {"model_type": "gemma4_unified_assistant", "backbone_hidden_size": 3840, "text_config": {}}
    assert fit.problems("mtp", unified, drafter) == []
    assert fit.problems("mtp", TARGET, drafter)[0] == (
        "a gemma4_unified_assistant drafts for gemma4_unified or gemma4_unified_text, not gemma4_text"
    )


@pytest.mark.parametrize(
    ("method", "target", "assistant", "phrase"),
    [
        ("mtp", TARGET | {"hidden_size": 256}, ASSISTANT, "the assistant expects hidden size 128, the target has 256"),
        ("mtp", TARGET, nested(ASSISTANT, vocab_size=9), "vocab size differs: 9 in the drafter, 2048 in the target"),
        ("mtp", TARGET, nested(ASSISTANT, head_dim=64), "head dim differs: 64 in the drafter, 32 in the target"),
        (
            "mtp",
            TARGET | {"layer_types": ["full_attention"]},
            ASSISTANT,
            "the target has no sliding_attention layer whose keys and values the assistant could read",
        ),
        ("mtp", TARGET, TARGET, "the assistant is no MTP assistant (model type gemma4_text)"),
        ("mtp", TARGET, None, "no assistant is named"),
        ("mtp", ASSISTANT, ASSISTANT, "the target is itself an MTP assistant (gemma4_assistant)"),
        ("prompt-lookup", ASSISTANT, None, "the target is itself an MTP assistant"),
        ("draft-model", TARGET, ASSISTANT, "the drafter is an MTP assistant (gemma4_assistant), which needs --method"),
        ("eagle3", TARGET, ASSISTANT, "the drafter is an MTP assistant (gemma4_assistant), which needs --method mtp"),
        ("eagle3", TARGET, None, "no assistant is named"),
        ("draft-model", TARGET, TARGET | {"vocab_size": 32000}, "vocab size differs: 32000 in the drafter, 2048 in"),
        ("draft-model", TARGET, None, "no assistant is named"),
    ],
)
def test_what_does_not_fit_is_said(
    method: str, target: dict[str, Any], assistant: dict[str, Any] | None, phrase: str
) -> None:
    assert any(found.startswith(phrase) for found in fit.problems(method, target, assistant))


def test_a_key_that_only_one_side_has_proves_nothing() -> None:
    assert fit.problems("mtp", {"model_type": "gemma4"}, {"model_type": "gemma4_assistant"}) == []


def test_prompt_lookup_and_a_small_model_of_the_same_vocabulary_fit() -> None:
    assert fit.problems("prompt-lookup", TARGET, None) == []
    assert fit.problems("draft-model", TARGET, {"model_type": "llama", "vocab_size": 2048}) == []


def test_local_folders_are_refused_in_one_line_that_names_both_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(ASSISTANT | {"backbone_hidden_size": 96}))
    pair = Pair("x", str(DEMO / "target"), str(tmp_path))
    with pytest.raises(UsageError, match=r"cannot run mtp: the assistant expects hidden size 96.*-m TARGET") as caught:
        fit.check(pair, ("mtp",))
    message = str(caught.value)
    assert str(tmp_path) in message
    assert str(DEMO / "target") in message
    assert "\n" not in message


def test_hub_ids_pass_until_their_configs_are_here() -> None:
    fit.check(Pair("x", "google/gemma-4-E2B-it", "google/gemma-4-E2B-it-assistant"), ("mtp",))
    fit.check(Pair("x", str(DEMO / "target"), "google/gemma-4-E2B-it-assistant"), ("mtp",))


def test_a_hub_id_that_was_downloaded_is_judged_like_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--owner--name"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc")
    pair = Pair("x", str(DEMO / "target"), "owner/name")
    fit.check(pair, ("mtp",))
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "snapshots" / "abc" / "config.json").write_text(json.dumps(ASSISTANT | {"backbone_hidden_size": 96}))
    with pytest.raises(UsageError, match="expects hidden size 96"):
        fit.check(pair, ("mtp",))


def test_a_folder_without_a_config_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no model folder: it holds no config\.json"):
        fit.read(str(tmp_path))


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_a_config_that_is_no_json_object_is_said_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UsageError, match=r"config\.json (is not JSON|holds no JSON object)"):
        fit.read(str(tmp_path))


@pytest.mark.parametrize("path", ["/no/such/folder", "./missing", "~/missing/model", "a/b/c"])
def test_a_path_that_leads_nowhere_is_no_hub_id(path: str) -> None:
    with pytest.raises(UsageError, match="no such model folder"):
        fit.read(path)
