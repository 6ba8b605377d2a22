"""The text that a measured setting is deployed by: the real runtimes take it, where they run here."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace

import pytest
import the_demo_pair

from backends import discover
from backends.base import Deployment
from backends.vllm_server import flags
from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair, Sampling, SessionFacts

MTP = Draft("mtp", 4)
HOSTILE = "a model\n'$(id)\x1b[2J"
STRANGE = Pair("strange", HOSTILE, HOSTILE + "-d")


def wanted(pair: Pair, engine: EngineConfig, draft: Draft | None = MTP, **more: object) -> Deployment:
    return Deployment(pair, replace(engine, draft=draft), 1, 24, **more)  # type: ignore[arg-type]


def text(backend: str, asked: Deployment) -> str:
    found = discover.load(backend).deployment(asked)
    assert found is not None
    assert all(line.isprintable() for line in found.split("\n"))
    return found


def ran(program: str, interpreter: str = sys.executable, environment: Mapping[str, str] = os.environ) -> str:
    """What the program prints."""
    done = subprocess.run(
        [interpreter, "-c", program], capture_output=True, text=True, timeout=240, check=False, env={**environment}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def words(command: str) -> list[str]:
    """The command's words as bash reads them, its environment and its program apart."""
    said = subprocess.run(
        ["bash", "-c", f"vllm() {{ printf '%s\\0' \"$@\"; }}\n{command}"], capture_output=True, text=True, check=True
    )
    return said.stdout.split("\0")[:-1]


@pytest.mark.model
@pytest.mark.parametrize("draft", [None, MTP, Draft("prompt-lookup", 3)])
def test_transformers_runs_its_program(draft: Draft | None) -> None:
    said = ran(text("transformers", wanted(the_demo_pair.PAIR, the_demo_pair.ENGINE, draft)))
    assert said.startswith("Once upon a time") and len(said) > 40


def test_transformers_program_asks_for_what_was_measured() -> None:
    found = text("transformers", wanted(Pair("p", "org/t", "org/a"), EngineConfig(device="cuda:1", dtype="bfloat16")))
    assert "from_pretrained('org/a', dtype='bfloat16').to('cuda:1')" in found
    assert "num_assistant_tokens=4" in found and "assistant_model=assistant" in found
    sampled = text("transformers", wanted(the_demo_pair.PAIR, the_demo_pair.ENGINE, sampling=Sampling(0.8, top_k=5)))
    assert "do_sample=True" in sampled and "temperature=0.8" in sampled and "top_k=5" in sampled


def test_transformers_refuses_options_that_are_none() -> None:
    with pytest.raises(UsageError, match="no option"):
        text("transformers", wanted(STRANGE, EngineConfig(options={"x=print()#_implementation": "y"})))
    compile(text("transformers", wanted(STRANGE, EngineConfig())), "snippet", "exec")


def test_vllm_is_served_with_what_decided_its_speed() -> None:
    engine = EngineConfig(dtype="bfloat16", device="cuda:1", max_context=512, options={"gpu_memory_utilization": 0.5})
    command = text("vllm", wanted(Pair("p", "org/t", "org/a"), engine))
    assert command.startswith("CUDA_VISIBLE_DEVICES=1 vllm serve org/t")
    draft = json.dumps({"model": "org/a", "num_speculative_tokens": 4})
    expected = ["serve", "org/t", "--dtype=bfloat16", f"--speculative-config={draft}", "--gpu-memory-utilization=0.5"]
    assert words(command) == expected
    launched = flags.arguments(Pair("p", "org/t", "org/a"), replace(engine, draft=MTP), 1, cpu=False, revealing=True,
                               limit=None)  # fmt: skip
    assert set(expected[1:]) <= set(launched)


def test_vllm_drafts_by_the_batch_only_in_a_version_that_was_tried() -> None:
    by_batch = ((1, 4), (4, 2), (16, 0))
    new = text("vllm", wanted(STRANGE, EngineConfig(), by_batch=by_batch, facts=facts("0.32.0")))
    (last,) = [line for line in new.split("\n") if "per_batch_size" in line]
    (config,) = words(f"vllm {last.removeprefix('# ')}")
    said = json.loads(config.partition("=")[2])
    assert said["num_speculative_tokens"] == 4
    assert said["num_speculative_tokens_per_batch_size"] == [[1, 1, 4], [2, 4, 2], [5, 16, 0]]
    assert "per_batch_size" not in text(
        "vllm", wanted(STRANGE, EngineConfig(), by_batch=by_batch, facts=facts("0.31.1"))
    )
    assert "per_batch_size" not in text("vllm", wanted(STRANGE, EngineConfig(), None, by_batch=by_batch))


def test_names_of_a_stranger_stay_words() -> None:
    found = words(text("vllm", wanted(STRANGE, EngineConfig())))
    assert found[1] == HOSTILE
    assert json.loads(found[3].partition("=")[2])["model"] == HOSTILE + "-d"


def facts(version: str, device: str = "cuda:0 NVIDIA H100") -> SessionFacts:
    said: dict[str, Json] = {}
    return SessionFacts(
        versions={"vllm": version}, device=device, dtype="bfloat16", eos_token_ids=(), context_limit=None,
        vocab_size=None, threads=None, target_bytes=None, drafter_bytes=None, chat_template=False, files={},
        statement=said,
    )  # fmt: skip
