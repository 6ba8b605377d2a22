"""The command line of every arm, and what options may not do to it."""

import pytest

from backends.llama import arguments
from backends.llama.arguments import Launch, speculation
from results.errors import UsageError
from results.records import Draft


def launch(draft: Draft | None = None, drafter: str | None = None, **other: object) -> list[str]:
    return arguments.arguments(Launch("t.gguf", drafter, draft, **{"context": 160, **other}), 8123)  # type: ignore[arg-type]


def test_the_plain_arm_speculates_by_no_flag() -> None:
    found = launch()
    assert not [flag for flag in found if flag.startswith("--spec")]
    assert found[:6] == ["--model", "t.gguf", "--host", "127.0.0.1", "--port", "8123"]
    assert "--offline" in found
    assert "--metrics" in found
    assert found[found.index("--cache-ram") + 1] == "0"


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("mtp", ["--spec-type", "draft-mtp", "--spec-draft-model", "d.gguf", "--spec-draft-n-max", "3"]),
        ("draft-model", ["--spec-type", "draft-simple", "--spec-draft-model", "d.gguf", "--spec-draft-n-max", "3"]),
        ("eagle3", ["--spec-type", "draft-eagle3", "--spec-draft-model", "d.gguf", "--spec-draft-n-max", "3"]),
    ],
)
def test_a_drafter_comes_with_its_type_and_always_drafts_k(method: str, expected: list[str]) -> None:
    found = speculation(Draft(method, 3), "d.gguf")
    assert found == [*expected, "--spec-draft-n-min", "0", "--spec-draft-p-min", "0.0"]


def test_a_target_s_own_mtp_layers_need_no_file() -> None:
    found = speculation(Draft("native-mtp", 2), None)
    assert found == speculation(Draft("mtp", 2), None)
    assert found[:4] == ["--spec-type", "draft-mtp", "--spec-draft-n-max", "2"]
    assert "--spec-draft-model" not in found


def test_prompt_lookup_takes_its_length_as_that_of_the_copied_text() -> None:
    found = speculation(Draft("prompt-lookup", 5), None)
    assert found == ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-m", "5"]


def test_arms_differ_by_speculation_alone() -> None:
    draft = Draft("mtp", 4)
    assert launch(draft, "d.gguf") == [*launch(), *speculation(draft, "d.gguf")]


def test_a_slot_holds_what_was_asked_for_and_a_last_draft() -> None:
    assert arguments.context_size(Launch("t", None, None, 160)) == 256
    assert arguments.context_size(Launch("t", None, None, 200)) == 512
    assert arguments.context_size(Launch("t", None, None, 160, parallel=4)) == 4 * 256
    assert arguments.context_size(Launch("t", None, None, None)) == 0


def test_threads_devices_and_the_user_s_flags() -> None:
    found = launch(threads=2, devices="none", flags=("--flash-attn", "off"))
    assert found[-2:] == ["--flash-attn", "off"]
    assert found[found.index("--threads") + 1] == found[found.index("--threads-batch") + 1] == "2"
    assert found[found.index("--device") + 1] == "none"
    assert found[found.index("--gpu-layers") + 1] == "0"
    assert "--threads" not in launch()


def test_options_become_flags() -> None:
    options = {"flash_attn": "off", "ubatch-size": 64, "swa_full": True, "warmup": False, "tensor-split": [3, 1]}
    assert arguments.flags({**options, "server": "/x", "parallel": 2}) == (
        *("--flash-attn", "off", "--ubatch-size", "64", "--swa-full", "--no-warmup", "--tensor-split", "3,1"),
    )


@pytest.mark.parametrize(
    "name", ["host", "model", "spec-type", "spec_draft_n_max", "tools", "no-kv-unified", "--cache-prompt", "api-key"]
)
def test_options_that_would_undo_the_measurement_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=rf"^option llamacpp.{name} cannot be set: .+$"):
        arguments.flags({name: "x"})


def test_an_option_cannot_bring_a_second_flag_with_it() -> None:
    with pytest.raises(UsageError, match="cannot begin with a hyphen"):
        arguments.flags({"warmup": "--agent"})
    assert arguments.flags({"keep": -1}) == ("--keep", "-1")


def test_an_option_of_another_shape_is_refused() -> None:
    with pytest.raises(UsageError, match="takes a text, a number"):
        arguments.flags({"override-kv": {"a": 1}})


@pytest.mark.parametrize("value", [0, -1, True, "4", 1.5])
def test_slots_are_a_positive_number(value: object) -> None:
    with pytest.raises(UsageError, match=r"llamacpp\.parallel takes a number"):
        arguments.slots({"parallel": value})  # type: ignore[dict-item]
    assert arguments.slots({"parallel": 4}) == 4
    assert arguments.slots({}) == 1


def test_an_unknown_method_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(UsageError, match="did you mean eagle3"):
        arguments.check_method("eagle")
    with pytest.raises(UsageError, match="it has mtp, draft-model"):
        arguments.check_method("zzz")
