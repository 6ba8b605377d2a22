"""The training command: what it writes, that it repeats, and that distillation sees what inference sees."""

import email
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from results.errors import UsageError
from workloads.training import corpus, drafting, evaluate, tokenizer, unloop
from workloads.training.__main__ import build
from workloads.training.models import load_assistant, load_target, new_assistant, new_target
from workloads.training.settings import Settings, parse
from workloads.training.train_target import train_target

TEXTS = Path(email.__file__).parent
DEMO = Path(corpus.__file__).parents[1] / "data" / "demo"


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A smoke pair, made by the command's own path."""
    out = tmp_path_factory.mktemp("pair")
    settings = parse(["--out", str(out), "--corpus", str(TEXTS), "--quick"])
    build(settings)
    return settings


@pytest.fixture(scope="module")
def untrained() -> tuple[Any, Any]:
    """A tiny target and a narrower drafter with random weights and a window of 32."""
    torch.manual_seed(1)
    settings = parse(["--out", "unused", "--quick"])
    target = new_target(settings).eval()
    return target, new_assistant(settings, target).eval()


@pytest.fixture(scope="module")
def demo() -> tuple[Any, Any, list[dict[str, Any]]]:
    """The shipped pair and its prompts."""
    prompts = [json.loads(line) for line in (DEMO / "prompts.jsonl").read_text().splitlines()]
    return load_target(DEMO / "target"), load_assistant(DEMO / "assistant"), prompts


# ------------------------------------------------------------------------------------------ the whole command


@pytest.mark.model
def test_the_command_writes_a_pair_that_drafts_losslessly_and_says_how_well(pair: Settings) -> None:
    figures = json.loads((pair.out / "figures.json").read_text())
    for k, drafting_ in figures["drafting"].items():
        assert drafting_["prompts_with_the_same_tokens"] == drafting_["of"] == pair.prompts, k
        assert drafting_["drafted"] > 0, k
    assert figures["held_out_loss_nats_per_token"] < np.log(pair.vocab)
    assert len(figures["accepted_given_the_draft_before"]["held_out_text"]) == pair.unroll
    assert 0 < figures["distinct_4_grams"]["mean"] <= 1
    assert set(figures["minutes"]) == {"corpus", "target", "unlooped", "own.npy", "assistant"}
    assert "held out loss" in (pair.out / "README.md").read_text()


@pytest.mark.model
def test_the_prompts_file_holds_prompts_that_encode_to_their_ids_and_what_the_target_makes_of_them(
    pair: Settings,
) -> None:
    target = load_target(pair.out / "target")
    learnt = Tokenizer.from_file(str(pair.out / "target" / "tokenizer.json"))
    lines = [json.loads(line) for line in (pair.out / "prompts.jsonl").read_text().splitlines()]
    assert len(lines) == pair.prompts
    for line in lines:
        assert learnt.encode(line["text"]).ids == [learnt.token_to_id("<bos>"), *line["prompt_ids"]]
        assert evaluate.generate(target, line["prompt_ids"], pair.new_tokens).ids == line["greedy_ids"]


@pytest.mark.model
def test_the_written_weights_are_the_trained_ones_rounded_to_bfloat16(pair: Settings) -> None:
    for name, stage, load in (("target", "unlooped", load_target), ("assistant", "assistant", load_assistant)):
        trained = load(pair.out / "stages" / stage).state_dict()
        written = load(pair.out / name).state_dict()
        assert written.keys() == trained.keys()
        for key, value in trained.items():
            assert torch.equal(written[key], value.bfloat16().float()), key


@pytest.mark.model
def test_the_configuration_says_the_head_size_in_keys_that_every_runtime_reads(pair: Settings) -> None:
    target = json.loads((pair.out / "target" / "config.json").read_text())
    assistant = json.loads((pair.out / "assistant" / "config.json").read_text())
    for config in (target, assistant["text_config"]):
        assert "per_layer_config" not in config
        assert config["global_head_dim"] == config["head_dim"] == pair.head_dim
        assert config["dtype"] == "bfloat16"
    assert assistant["text_config"]["hidden_size"] == pair.drafter_hidden < assistant["backbone_hidden_size"]
    drafting_ = json.loads((pair.out / "assistant" / "generation_config.json").read_text())
    assert drafting_["num_assistant_tokens"] == pair.draft_tokens
    assert drafting_["do_sample"] is False


@pytest.mark.model
def test_a_second_run_keeps_every_stage_and_every_file(pair: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    before = {p: p.stat().st_mtime_ns for p in pair.out.rglob("*") if p.is_file()}
    build(pair)
    assert {p: p.stat().st_mtime_ns for p in pair.out.rglob("*") if p.is_file()} == before
    assert capsys.readouterr().out.count("kept from an earlier run") == 6


@pytest.mark.model
def test_a_run_is_not_taken_up_with_other_settings(pair: Settings) -> None:
    other = parse(["--out", str(pair.out), "--corpus", str(TEXTS), "--quick", "--hidden", "40"])
    with pytest.raises(UsageError, match=r"begun with hidden = 32, not 40: .*another --out"):
        build(other)


@pytest.mark.model
def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    tokens = np.arange(2000, dtype=np.uint16) % 500

    def trained(seed: int) -> torch.Tensor:
        settings = parse(["--out", "unused", "--quick", "--steps", "3", "--seed", str(seed)])
        model = train_target(settings, tokens, lambda done, what: None)
        return torch.cat([weight.flatten() for weight in model.state_dict().values()])

    assert torch.equal(trained(0), trained(0))
    assert not torch.equal(trained(0), trained(1))


# ------------------------------------------------------------------------------- distillation is inference


@torch.no_grad()
def stepwise(assistant: Any, seen: drafting.Read, t: int, steps: int) -> torch.Tensor:
    """Logits [steps, vocab] of one round from position t, by the assistant's own `forward`, one query at a time."""
    kv = {kind: (keys[:, :, : t + 1], values[:, :, : t + 1]) for kind, (keys, values) in seen.kv.items()}
    hidden, rows = seen.hidden[:, t : t + 1], []
    for step in range(steps):
        token = seen.embedded[:, t + 1 + step : t + 2 + step]
        out = assistant(
            inputs_embeds=torch.cat([token, hidden], dim=-1),
            attention_mask=torch.ones(1, t + 2, dtype=torch.long),
            position_ids=torch.tensor([[t + 1]]),
            shared_kv_states=kv,
        )
        hidden = out.last_hidden_state
        rows.append(out.logits[0, 0])
    return torch.stack(rows)


@pytest.mark.model
def test_the_parallel_pass_gives_the_logits_of_one_round_at_a_time_inside_and_beyond_the_window(
    untrained: tuple[Any, Any],
) -> None:
    target, assistant = untrained
    steps, ids = 4, torch.randint(7, 512, (1, 80), generator=torch.Generator().manual_seed(0))
    seen = drafting.read(target, ids)
    with torch.no_grad():
        parallel = torch.stack([logits[0] for logits in drafting.draft(assistant, seen, steps)])
    window = assistant.model.config.sliding_window
    for t in (0, 1, window - 1, window, window + 1, 75):
        difference = (parallel[:, t] - stepwise(assistant, seen, t, steps)).abs().max()
        assert difference < 1e-4, f"position {t}: {difference}"


@pytest.mark.model
def test_acceptance_in_the_parallel_pass_is_that_of_real_assisted_generation_round_by_round(
    demo: tuple[Any, Any, list[dict[str, Any]]],
) -> None:
    target, assistant, prompts = demo

    def only_verified(_module: Any, _args: Any, kwargs: dict[str, Any]) -> Any:
        # Transformers leaves the K/V of rejected drafts visible; distillation never shows them.
        verified = int(kwargs["position_ids"])
        kv = {k: tuple(state[:, :, :verified] for state in pair) for k, pair in kwargs["shared_kv_states"].items()}
        return (), {**kwargs, "shared_kv_states": kv}

    k, new_tokens = 4, 40
    hook = assistant.register_forward_pre_hook(only_verified, with_kwargs=True)
    real = [evaluate.generate(target, p["prompt_ids"], new_tokens, assistant, k) for p in prompts[:3]]
    hook.remove()
    for prompt, generation in zip(prompts, real, strict=False):
        assert generation.ids == prompt["greedy_ids"][:new_tokens]
        assert generation.rounds == evaluate.replayed(target, assistant, prompt["prompt_ids"], generation.ids, k)
    accepted = [a for generation in real for _, a in generation.rounds]
    assert set(accepted) > {0, k}, "neither all nor nothing: the comparison would prove little"


def test_a_replay_drafts_no_more_than_still_fits() -> None:
    hits = torch.tensor([[1, 1, 0]] * 20, dtype=torch.bool)
    assert drafting.replay(hits, prompt=5, new_tokens=9, draft_tokens=3) == [(3, 2), (3, 2), (1, 1)]
    assert drafting.replay(hits, prompt=5, new_tokens=1, draft_tokens=3) == []


def test_acceptance_given_the_draft_before_is_unknown_where_no_round_came_so_far() -> None:
    hits = torch.tensor([[[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]]], dtype=torch.bool)
    assert evaluate.given_previous(hits) == [3 / 4, 1 / 3, 0.0]
    assert evaluate.given_previous(hits[:, 2:3]) == [0.0, None, None]


def test_prompts_and_pairs_are_found_without_loading_torch() -> None:
    code = "import sys, workloads.pairs, workloads.prompts; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -------------------------------------------------------------------------------------- text, tokens, loops


def test_a_text_comes_back_from_its_tokens_whatever_it_holds() -> None:
    learnt = tokenizer.train(["def f(x):\n    return x + 1\n"] * 3, 300)
    for text in ("def f(x):\n\treturn 'é 日 🙂'", "<0x41> is not A", "  two  spaces  ", "", "a ▁ b".replace("▁", "_")):
        encoded = learnt.encode(text)
        assert encoded.ids[0] == learnt.token_to_id("<bos>")
        assert learnt.decode(encoded.ids) == text
    assert [learnt.token_to_id(token) for token in tokenizer.SPECIAL] == list(range(7))


def test_files_are_held_out_by_seed_and_never_learnt_from(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.txt").write_text(f"file {number}")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\0")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "skipped.txt").write_text("a test")
    sources = corpus.read([tmp_path])
    train, held_out = corpus.split(sources, seed=0)
    assert (len(train), len(held_out)) == (28, 2)
    assert {s.name for s in train}.isdisjoint(s.name for s in held_out)
    assert corpus.split(sources, seed=0) == (train, held_out)
    assert corpus.split(sources, seed=1) != (train, held_out)


def test_a_gram_counts_as_repeated_only_where_it_stood_before() -> None:
    ids = torch.tensor([[1, 2, 1, 2, 1, 2], [1, 2, 3, 4, 5, 6]])
    assert unloop.repeats(ids, 2).tolist() == [[False, False, False, True, True, True], [False] * 6]
    assert unloop.distinct_share(ids, 2).tolist() == pytest.approx([2 / 5, 1.0])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--layers", "6"], "--layers 6 is not a multiple of 4"),
        (["--drafter-hidden", "129"], "--drafter-hidden 129 must be at most 128"),
        (["--drafter-layers", "3"], "--drafter-layers 3 must be 1"),
        (["--unroll", "192"], "--unroll 192 must be below --distil-length 192"),
        (["--steps", "0"], "--steps 0 must be at least 1"),
        (["--vocab", "100"], "--vocab 100 must be at least 363"),
        (["--new-tokens", "5000"], "exceed --context 2048"),
    ],
)
def test_a_setting_that_cannot_work_is_one_line(flags: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(["--out", "unused", *flags])
    assert "\n" not in str(caught.value)


def test_a_corpus_that_is_no_folder_or_has_no_text_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        corpus.read([tmp_path / "missing"])
    with pytest.raises(UsageError, match=r"has 0 text file\(s\)"):
        corpus.read([tmp_path])
