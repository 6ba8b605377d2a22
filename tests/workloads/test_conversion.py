"""Conversions: what they refuse, how they drive the converters, that widening changes nothing, that checks can fail."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from results.errors import UsageError
from workloads.conversion import environments, gguf, litert, parity
from workloads.conversion.__main__ import main
from workloads.conversion.environments import Recipe, checked_tree, python_of, run, shown
from workloads.conversion.exporter.difference import BOUND, difference
from workloads.conversion.exporter.layout import Export
from workloads.conversion.pair import read, refuse_for_gguf, refuse_for_litert
from workloads.conversion.parity import Parity
from workloads.conversion.widen import next_width, widen
from workloads.training import drafting
from workloads.training.models import load_assistant, load_target, new_assistant, new_target
from workloads.training.settings import Settings

DEMO = Path(gguf.__file__).parents[1] / "data" / "demo"
HIDDEN = 128


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def ignored(line: str) -> None:
    """Progress that nobody reads."""
    assert line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pair's folder without weights."""
    for part in ("target", "assistant"):
        (tmp_path / "pair" / part).mkdir(parents=True)
        for name in ("config.json", "tokenizer.json"):
            shutil.copyfile(DEMO / part / name, tmp_path / "pair" / part / name)
    return tmp_path / "pair"


def change(file: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_bytes())
    edit(content)
    file.write_text(json.dumps(content))


# --------------------------------------------------------------------------------------------------------- widening


@pytest.mark.parametrize(("seed", "width", "wider", "layers"), [(0, 32, 64, 2), (1, 24, 32, 1), (2, 48, 96, 2)])
def test_a_widened_assistant_of_random_weights_drafts_the_same_logits(
    tmp_path: Path, seed: int, width: int, wider: int, layers: int
) -> None:
    torch.manual_seed(seed)
    settings = Settings(
        tmp_path, layers=4, hidden=48, mlp=64, heads=2, head_dim=16, window=8, vocab=512, context=256,
        drafter_hidden=width, drafter_layers=layers,
    )  # fmt: skip
    target, assistant = new_target(settings).eval(), new_assistant(settings, new_target(settings)).eval()
    for name, weight in assistant.named_parameters():
        torch.nn.init.normal_(weight, mean=float("norm" in name), std=0.3)
    assistant.save_pretrained(tmp_path / "narrow")
    widen(tmp_path / "narrow", tmp_path / "wide", wider)
    assert_same_drafts(target, tmp_path / "narrow", tmp_path / "wide", torch.randint(7, 512, (2, 40)))


def test_the_shipped_assistant_widened_for_llama_cpp_drafts_the_same_logits(tmp_path: Path) -> None:
    prompts = parity.read_prompts(DEMO / "prompts.jsonl")
    widen(DEMO / "assistant", tmp_path / "wide", next_width(HIDDEN))
    assert_same_drafts(load_target(DEMO / "target"), DEMO / "assistant", tmp_path / "wide", torch.tensor(prompts[:4]))


def assert_same_drafts(target: Any, narrow: Path, wide: Path, ids: torch.Tensor) -> None:
    """Within 1e-5 of the largest logit, over four chained draft steps from every position, which go through both
    projections. Measured: 7e-7 in the first step; rounding adds up to 3e-6 in the fourth (24 random assistants).
    """
    seen = drafting.read(target, ids)
    with torch.no_grad():
        steps = [list(drafting.draft(load_assistant(folder), seen, 4)) for folder in (narrow, wide)]
    for mine, theirs in zip(*steps, strict=True):
        largest = float(mine.abs().max())
        assert largest > 1
        torch.testing.assert_close(mine, theirs, atol=1e-5 * largest, rtol=0)


def test_a_norm_that_is_padded_and_not_scaled_would_be_seen(tmp_path: Path) -> None:
    widen(DEMO / "assistant", tmp_path / "wide", next_width(HIDDEN))
    weights = load_file(tmp_path / "wide" / "model.safetensors")
    weights["model.norm.weight"] *= (next_width(HIDDEN) / HIDDEN) ** 0.5
    save_file(weights, tmp_path / "wide" / "model.safetensors", {"format": "pt"})
    ids = torch.tensor(parity.read_prompts(DEMO / "prompts.jsonl")[:1])
    with pytest.raises(AssertionError, match="not close"):
        assert_same_drafts(load_target(DEMO / "target"), DEMO / "assistant", tmp_path / "wide", ids)


@pytest.mark.parametrize("width", [HIDDEN, 96])
def test_no_assistant_is_widened_to_fewer_channels_or_as_many(tmp_path: Path, width: int) -> None:
    with pytest.raises(UsageError, match=f"a width of {width} is not above the assistant's 128"):
        widen(DEMO / "assistant", tmp_path / "wide", width)


def test_a_tensor_of_another_kind_is_not_guessed(tmp_path: Path) -> None:
    shutil.copytree(DEMO / "assistant", tmp_path / "odd")
    weights = load_file(tmp_path / "odd" / "model.safetensors")
    save_file({**weights, "masked_embedding.centroids.weight": torch.ones(4, 128)}, tmp_path / "odd/model.safetensors")
    with pytest.raises(UsageError, match=r"masked_embedding\.centroids\.weight \(4, 128\) is of no kind"):
        widen(tmp_path / "odd", tmp_path / "wide", 160)
    assert not (tmp_path / "wide").exists()


# ---------------------------------------------------------------------------------------------------------- refusals


def test_the_demo_pair_can_be_converted_to_both() -> None:
    pair = read(DEMO)
    refuse_for_gguf(pair)
    refuse_for_litert(pair)
    assert pair.as_wide


@pytest.mark.parametrize(
    ("part", "key", "value", "told"),
    [
        ("target", "hidden_size_per_layer_input", 8, "has per-layer embeddings"),
        ("target", "enable_moe_block", True, "has experts"),
        ("target", "num_key_value_heads", 2, "has 2 K/V heads"),
        ("target", "num_global_key_value_heads", 4, "has 4 K/V heads"),
        ("target", "model_type", "gemma4", "is for text-only targets"),
        ("assistant", "use_ordered_embeddings", True, "ordered embeddings"),
    ],
)
def test_what_the_litert_export_does_not_cover_is_refused_in_one_line(
    folder: Path, part: str, key: str, value: object, told: str
) -> None:
    change(folder / part / "config.json", lambda config: config.update({key: value}))
    with pytest.raises(UsageError, match=told) as caught:
        refuse_for_litert(read(folder))
    assert "\n" not in str(caught.value)


def test_an_assistant_with_several_kv_heads_is_refused_too(folder: Path) -> None:
    change(folder / "assistant/config.json", lambda config: config["text_config"].update(num_key_value_heads=2))
    with pytest.raises(UsageError, match="assistant has 2 K/V heads"):
        refuse_for_litert(read(folder))


def test_what_llama_cpp_s_converter_stops_at_is_told_before_it(folder: Path) -> None:
    change(folder / "assistant/tokenizer.json", lambda file: file["model"].update(byte_fallback=False))
    with pytest.raises(UsageError, match=r"assistant/tokenizer\.json is no BPE with byte fallback"):
        refuse_for_gguf(read(folder))
    (folder / "assistant/tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"assistant/tokenizer\.json does not exist"):
        refuse_for_gguf(read(folder))
    change(folder / "target/config.json", lambda config: config.pop("global_head_dim"))
    with pytest.raises(UsageError, match=r"target/config\.json lacks global_head_dim"):
        refuse_for_gguf(read(folder))


def test_a_folder_that_holds_no_pair_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile(folder / "target/config.json", folder / "assistant/config.json")
    with pytest.raises(UsageError, match="holds gemma4_text and gemma4_text; a Gemma 4 target and its MTP assistant"):
        main(["gguf", "--pair", str(folder), "--out", "unused"])
    with pytest.raises(UsageError, match=r"target/config\.json does not exist; give --pair the folder"):
        main(["litert", "--pair", str(folder / "target"), "--out", "unused"])
    assert capsys.readouterr().out == ""


# ----------------------------------------------------------------------------------------------------------- drivers

CONVERTER = """
import pathlib, sys
source, _, kind, _, out = sys.argv[1:]
assert kind == "f32", kind
here, source = pathlib.Path.cwd(), pathlib.Path(source)
pathlib.Path(out).write_text(f"{here.name} {source.name} {(source / 'config.json').is_file()}")
if (here / "stops").exists() and source.name != "target":
    sys.exit("Cannot find Llama BPE tokenizer")
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A converter that writes what it was asked instead of a model."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "convert_hf_to_gguf.py").write_text(CONVERTER)
    return tmp_path / "tree"


def test_the_converter_runs_in_its_own_tree_on_the_target_and_a_wider_assistant(tmp_path: Path, tree: Path) -> None:
    made = gguf.convert(read(DEMO), tmp_path / "out", tree, Path(sys.executable), ignored)
    assert made == gguf.files_in(tmp_path / "out")
    assert made.target.read_text() == "tree target True"
    assert made.drafter.read_text() == "tree wide True"
    assert {file.name for file in (tmp_path / "out").iterdir()} == {made.target.name, made.drafter.name, "gguf.log"}


def test_a_narrower_assistant_is_converted_as_it_is(tmp_path: Path, tree: Path, folder: Path) -> None:
    change(folder / "assistant/config.json", lambda config: config["text_config"].update(hidden_size=96))
    made = gguf.convert(read(folder), tmp_path / "out", tree, Path(sys.executable), ignored)
    assert made.drafter.read_text() == "tree assistant True"


def test_a_converter_that_stops_leaves_no_files_and_its_last_line(tmp_path: Path, tree: Path) -> None:
    (tree / "stops").touch()
    with pytest.raises(UsageError, match=r"converter failed: Cannot find Llama BPE tokenizer; .* is in .*gguf\.log"):
        gguf.convert(read(DEMO), tmp_path / "out", tree, Path(sys.executable), ignored)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["gguf.log"]


def exporter(path: Path, failing: str) -> Path:
    """A Python that runs no step, writes what the steps leave, and fails at one of them."""
    path.write_text(f"""#!{sys.executable}
import json, pathlib, sys
step, plan = sys.argv[3], json.loads(sys.argv[4])
folder = pathlib.Path(plan["folder"])
(folder / "parity.txt").write_text("compared\\n")
(folder / "pair.litertlm").write_text(" ".join([step, str(plan["draft_tokens"]), str(plan["context"])]))
sys.exit("drafter's logits, call 1: largest difference 2.4" if step == "{failing}" else 0)
""")
    path.chmod(0o755)
    return path


def test_a_bundle_comes_out_of_all_steps(tmp_path: Path) -> None:
    said: list[str] = []
    python = exporter(tmp_path / "python", "none")
    made = litert.convert(read(DEMO), tmp_path / "out", python, said.append, draft_tokens=3, context=256)
    assert made.read_text() == "bundle 3 256"
    assert said == [*(f"LiteRT: {step}" for step in ("target", "drafter", "parity", "bundle")), "compared"]


def test_a_wrong_number_makes_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the export's step parity failed: drafter's logits, call 1: .* 2\.4"):
        litert.convert(read(DEMO), tmp_path / "out", exporter(tmp_path / "python", "parity"), ignored)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["litert.log"]


@pytest.mark.parametrize(("lengths", "told"), [((0, 512), "--draft-tokens 0"), ((4, 36), "--context 36")])
def test_lengths_that_leave_no_room_are_refused(tmp_path: Path, lengths: tuple[int, int], told: str) -> None:
    drafts, context = lengths
    with pytest.raises(UsageError, match=told):
        litert.convert(read(DEMO), tmp_path, Path(sys.executable), ignored, draft_tokens=drafts, context=context)


def test_a_plan_survives_the_way_to_another_process() -> None:
    plan = Export(Path("/a/target"), Path("/a/assistant"), Path("/out"), 4, 512)
    assert Export.read(plan.written()) == plan


# ------------------------------------------------------------------------------------------------------ environments


def test_an_environment_is_made_once_and_anew_for_other_pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def fake(command: list[str], log: Path, doing: str) -> None:
        ran.append(doing)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)

    monkeypatch.setattr(environments, "run", fake)
    first = python_of(Recipe("x", ("a==1",)), tmp_path, ignored)
    assert python_of(Recipe("x", ("a==1",)), tmp_path, ignored) == first
    assert ran == ["making a virtual environment", "installing x"]
    assert python_of(Recipe("x", ("a==2",)), tmp_path, ignored) != first
    (first.parents[1] / "ready").unlink()
    python_of(Recipe("x", ("a==1",)), tmp_path, ignored)
    assert len(ran) == 6


def test_sources_with_another_checksum_are_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(command: list[str], log: Path, doing: str) -> None:
        into, package = command[-2:]
        assert package == "llama-cpp-python==0.3.36"
        (Path(into) / "llama_cpp_python-0.3.36.tar.gz").write_bytes(b"another")

    monkeypatch.setattr(environments, "run", fake)
    with pytest.raises(UsageError, match="it is not the one we tried"):
        environments.converter_tree(tmp_path, ignored)
    assert not list(tmp_path.iterdir())


def test_a_tree_without_the_converter_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no convert_hf_to_gguf\.py"):
        checked_tree(tmp_path)


def test_another_environment_sees_the_two_packages_it_needs_and_no_path_of_ours(tmp_path: Path) -> None:
    script = "import results.errors, workloads.conversion.exporter.layout; import os; print(os.environ['PYTHONPATH'])"
    with shown() as path:
        run([sys.executable, "-c", script], tmp_path / "log", "importing", folder=tmp_path, path=path)
        assert (tmp_path / "log").read_text().strip() == str(path)
        assert {link.name for link in path.iterdir()} == {"workloads", "results"}


def test_a_program_that_is_missing_or_silent_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="x failed: /no/such/python: No such file"):
        run(["/no/such/python"], tmp_path / "log", "x")
    with pytest.raises(UsageError, match="x failed: it printed nothing and ended with 3"):
        run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log", "x")


# ------------------------------------------------------------------------------------------------------------ checks

RIGHT = Parity(
    prompts=12, positions=288, largest=1.4e-3, same_choice=288, regret=0.0, same_text=12, same_drafted=12,
    as_replayed=11, drafted=1242, accepted=821, accepted_replayed=820,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"largest": 4.8e-3}, "log-probabilities differ by up to 4.80e-03"),
        ({"largest": float("nan")}, "log-probabilities differ by up to nan"),
        ({"regret": 4.7e-2}, "a token that Transformers puts 4.70e-02 below its own choice"),
        ({"same_drafted": 11}, "1 texts of 12 change with it"),
        ({"as_replayed": 8}, "8 of 12 prompts accept as many drafts"),
        ({"drafted": 0, "as_replayed": 0}, "nothing was drafted"),
    ],
)
def test_each_fault_of_gguf_files_is_told(change: dict[str, Any], told: str) -> None:
    assert RIGHT.faults() == []
    (fault,) = replace(RIGHT, **change).faults()
    assert told in fault


@pytest.mark.parametrize(("shift", "wrong"), [(BOUND / 2, False), (BOUND * 2, True), (2.4, True), (float("nan"), True)])
def test_an_exported_number_may_differ_by_rounding_only(shift: float, wrong: bool) -> None:
    want = torch.linspace(-16, 16, 64).view(1, 2, 32)
    got = want.numpy().copy()
    got[0, 1, 3] += np.float32(shift)
    assert difference("logits", got, want).wrong is wrong


def test_another_choice_is_wrong_however_small_the_difference() -> None:
    want = torch.tensor([[1.0, 1.00001]])
    seen = difference("logits", np.array([[1.00001, 1.0]], np.float32), want)
    assert seen.wrong
    assert "ANOTHER CHOICE" in str(seen)


def test_files_and_prompts_that_are_not_there_are_told(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="is no list of prompts"):
        parity.read_prompts(tmp_path / "prompts.jsonl")
    (tmp_path / "prompts.jsonl").write_text("")
    with pytest.raises(UsageError, match="holds no prompts"):
        parity.read_prompts(tmp_path / "prompts.jsonl")
    with pytest.raises(UsageError, match=r"target-f32\.gguf does not exist; convert the pair first"):
        parity.check(read(folder), gguf.files_in(tmp_path), Path(sys.executable), [[2]], tmp_path / "log")
