"""The registry of pairs, and what `-m` may name."""

import json
from pathlib import Path

import pytest

from results.errors import UsageError
from workloads.pairs import PAIRS, find, fitting, resolve


def model_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    return path


def test_the_announced_pairs_the_12b_and_the_demo_are_registered() -> None:
    assert list(PAIRS) == ["gemma-4-31B", "gemma-4-26B-A4B", "gemma-4-E2B", "gemma-4-E4B", "gemma-4-12B", "demo"]
    for name, entry in PAIRS.items():
        assert name == entry.name
        assert entry.draft_lengths and min(entry.draft_lengths) >= 1
        assert entry.special and entry.licence == "Apache-2.0"
        if not entry.embedded:
            assert entry.target == f"google/{name}-it"
            assert entry.assistant == f"google/{name}-it-assistant"


def test_only_the_pair_on_known_hardware_has_a_nominal_time_per_token() -> None:
    assert [name for name, entry in PAIRS.items() if entry.nominal_tpot_ms is not None] == ["demo"]


def test_the_demo_pair_is_shipped_with_both_models_and_says_its_own_draft_length() -> None:
    pair = resolve("demo")
    assert pair.assistant is not None
    for folder in (pair.target, pair.assistant):
        for file in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
            assert (Path(folder) / file).is_file()
    generation = json.loads((Path(pair.assistant) / "generation_config.json").read_text())
    assert generation["num_assistant_tokens"] in PAIRS["demo"].draft_lengths
    config = json.loads((Path(pair.target) / "config.json").read_text())
    assert config["sliding_window"] == PAIRS["demo"].sliding_window


@pytest.mark.parametrize("text", ["gemma-4-26B-A4B", "GEMMA-4-26b-a4b", "26B-A4B", "26b-a4b"])
def test_a_registered_name_is_found_in_any_case_and_by_its_alias(text: str) -> None:
    pair = resolve(text)
    assert (pair.name, pair.target) == ("gemma-4-26B-A4B", "google/gemma-4-26B-A4B-it")
    assert find("") is None


def test_two_hub_ids_joined_by_a_colon_make_a_pair() -> None:
    pair = resolve("google/gemma-4-E2B-it:me/my-drafter_v0.1")
    assert (pair.target, pair.assistant) == ("google/gemma-4-E2B-it", "me/my-drafter_v0.1")
    assert pair.name == "google/gemma-4-E2B-it:me/my-drafter_v0.1"


def test_a_target_alone_has_no_assistant(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "target")
    assert resolve("google/gemma-4-E2B-it").assistant is None
    assert resolve(str(folder)).target == str(folder)
    assert resolve(str(folder)).assistant is None


def test_local_folders_become_absolute_and_mix_with_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_folder(tmp_path / "ours" / "target")
    monkeypatch.chdir(tmp_path)
    pair = resolve("ours/target:google/gemma-4-E2B-it-assistant")
    assert pair.target == str(tmp_path / "ours" / "target")
    assert pair.assistant == "google/gemma-4-E2B-it-assistant"


def test_a_colon_in_a_path_that_exists_belongs_to_the_path(tmp_path: Path) -> None:
    odd, plain = model_folder(tmp_path / "run:7" / "target"), model_folder(tmp_path / "assistant")
    assert resolve(str(odd)).target == str(odd)
    both = resolve(f"{odd}:{plain}")
    assert (both.target, both.assistant) == (str(odd), str(plain))


def test_model_files_are_taken_where_a_runtime_loads_files(tmp_path: Path) -> None:
    file = tmp_path / "target.gguf"
    file.touch()
    assert resolve(str(file)).target == str(file)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gemma-4-E3B", "did you mean"),
        ("gemma-4-E3B", "gemma-4-E2B"),
        ("zebra", "name one of gemma-4-31B"),
        ("", "unknown pair ''"),
        ("./nowhere", "no model at ./nowhere"),
        ("/no/such/folder:google/gemma-4-E2B-it-assistant", "no model at /no/such/folder"),
        ("google/gemma-4-E2B-it:", "unknown pair ''"),
        ("a/b/c", "OWNER/NAME"),
    ],
)
def test_what_names_no_model_is_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        resolve(text)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_folder_or_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UsageError, match=r"holds no config\.json"):
        resolve(str(tmp_path))
    with pytest.raises(UsageError, match="is no model: expected a folder"):
        resolve(f"google/gemma-4-E2B-it:{tmp_path / 'notes.txt'}")


# ---------------------------------------------------------------------------------------------------------- formats


def test_a_runtime_gets_the_demo_pair_in_its_own_format() -> None:
    for formats, files in (
        (("hf",), ("target", "assistant")),
        (("gguf",), ("target-f32.gguf", "drafter-f32.gguf")),
        (("litertlm",), ("demo.litertlm", "demo.litertlm")),
    ):
        pair, why = fitting("demo", formats)  # type: ignore[arg-type]
        assert why is None
        assert pair.name == "demo"
        assert (Path(pair.target).name, Path(str(pair.assistant)).name) == files
        assert Path(pair.target).exists()


def test_a_pair_that_has_no_file_of_that_format_says_what_to_name(tmp_path: Path) -> None:
    target, drafter = tmp_path / "t.gguf", tmp_path / "d.gguf"
    for path in (target, drafter):
        path.touch()
    assert fitting(f"{target}:{drafter}", ("gguf",)) == (resolve(f"{target}:{drafter}"), None)
    _, why = fitting(f"{target}:{drafter}", ("hf",))
    assert why is not None and "it loads hf, and" in why and why.endswith("is gguf")
    _, why = fitting("E2B", ("gguf",))
    assert why is not None and "name the files of gemma-4-E2B themselves" in why


def test_formats_that_only_a_checkout_has_are_missed_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    _, why = fitting("demo", ("gguf",))
    assert why == "the gguf files of demo are in the repository, not in the installed package"


def test_a_served_model_is_named_as_its_server_does() -> None:
    pair, why = fitting("gemma4:e2b", ("served",))
    assert (pair.name, pair.target, pair.assistant, why) == ("gemma4:e2b", "gemma4:e2b", None, None)
