"""Models made of shapes: what their tensors hold, and that both engines over Transformers' modules decode with them."""

from pathlib import Path

import pytest
import torch
from conformance import SHORT, one, prompt_of

from backends import reference, transformers
from backends.base import Backend
from backends.hf.random_weights import config_of, model_of
from mtpbench.cli import run
from results.errors import UsageError
from results.judge import judge
from results.records import Draft, EngineConfig, Request
from results.runfile import RunFile
from workloads.pairs import resolve
from workloads.shapes import configs

CPU = torch.device("cpu")
ENGINE = EngineConfig(dtype="float32", device="cpu", threads=1, methods=("mtp",))
KINDS = ("31B", "26B-A4B", "E2B", "E4B", "12B")


@pytest.mark.parametrize("name", ["gemma-4-26B-A4B", "gemma-4-E2B", "gemma-4-12B"])
def test_tensors_are_as_transformers_initialises_them_in_the_asked_type(name: str) -> None:
    for shape in configs(name, tiny=True):
        model = model_of(config_of(shape), CPU, torch.bfloat16)
        spread = model.config.get_text_config().initializer_range
        for key, tensor in model.named_parameters():
            assert tensor.dtype == torch.bfloat16
            if key.endswith(("norm.weight", "norm_1.weight", "norm_2.weight", "scale")):
                assert (tensor == 1).all(), key
            elif tensor.numel() > 500:
                assert tensor.float().std().item() == pytest.approx(spread, rel=0.1), key
                assert abs(tensor.float().mean().item()) < 0.1 * spread
        for key, buffer in model.named_buffers():
            assert torch.isfinite(buffer.float()).all(), key
        assert model.lm_head.weight is model.get_input_embeddings().weight
        assert not model.training


def test_rotary_frequencies_and_other_buffers_are_those_of_a_model_built_with_storage() -> None:
    for shape in configs("gemma-4-E4B", tiny=True):
        config = config_of(shape)
        made, built = model_of(config, CPU, torch.float32), type(model_of(config, CPU, torch.float32))(config)
        buffers = dict(built.named_buffers())
        assert {key for key, _ in made.named_buffers()} == buffers.keys()
        for key, buffer in made.named_buffers():
            if key.endswith("token_ordering"):
                assert buffer.sort().values.tolist() == list(range(2048))
            else:
                assert torch.equal(buffer, buffers[key]), key


def test_equal_shapes_give_equal_weights_and_nobody_else_s_random_numbers() -> None:
    target, _ = configs("gemma-4-31B", tiny=True)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second = (model_of(config_of(target), CPU, "auto") for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert first.dtype == torch.bfloat16
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.model
@pytest.mark.parametrize("kind", KINDS)
def test_both_engines_decode_the_same_tokens_with_such_weights(kind: str) -> None:
    pair, found = resolve(f"random:tiny-{kind}"), []
    adapters: tuple[Backend, ...] = (reference.Adapter(), transformers.Adapter())
    for adapter in adapters:
        with adapter.open(pair, ENGINE) as session:
            assert session.facts.vocab_size == 2048
            assert (session.facts.files, session.facts.statement["random_weights"]) == ({}, 0)
            prompt = prompt_of(session, SHORT)
            for draft in (None, Draft("mtp", 3)):
                seen = one(session, prompt, Request(12, draft, ignore_eos=True))
                assert seen.text is not None
                found.append(seen.token_ids)
    assert found.count(found[0]) == 4


@pytest.mark.model
def test_options_for_files_are_refused() -> None:
    engine = EngineConfig(dtype="float32", device="cpu", options={"revision": "main"})
    with (
        pytest.raises(UsageError, match="option revision is for files, and random:tiny-gemma-4-E2B has none"),
        transformers.Adapter().open(resolve("random:tiny-E2B"), engine),
    ):
        pass


@pytest.mark.model
@pytest.mark.parametrize("forced", [(), ("-o", "reference.acceptance=0.7")])
def test_a_run_with_random_weights_is_synthetic_throughout_and_ends_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], forced: tuple[str, ...]
) -> None:
    out = tmp_path / "run.sqlite"
    asked = ["run", "-b", "reference", "-m", "random:tiny-31B", "-k", "2", "-p", "40", "-n", "12", "--prompts", "2"]
    more = ["--repeats", "1", "--dtype", "float32", "--device", "cpu", "--out", str(out), *forced]
    assert run([*asked, *more]) == 0
    shown = capsys.readouterr().out
    assert shown.count("SYNTHETIC") >= 3
    assert "No setting can be ranked" in shown
    assert "SYNTHETIC" in out.with_suffix(".html").read_text()
    with RunFile.open(out) as file:
        assert all(cell.synthetic for cell in file.cells().values())
        found = judge(file)
    (cell,) = found.cells
    assert cell.synthetic and cell.status == "ok" and found.best == []
    assert cell.acceptance is not None
    if forced:
        assert cell.output == "untested" and "acceptance was forced" in shown
        assert cell.acceptance.rate > 0
    else:
        assert cell.output == "identical"
