"""The text that a measured setting is deployed by: the real runtimes take it, where they run here."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import the_demo_pair
import the_gguf_pair
import the_litert_bundle
from hosted import needs

from backends import discover
from backends.base import Deployment
from backends.server import http, process
from backends.sglang_server import flags as sglang_flags
from backends.vllm_server import flags
from harness.environment import worker_environment
from harness.interpreters import environment_of, interpreter_of
from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair, Sampling, SessionFacts

MTP = Draft("mtp", 4)
HOSTILE = "a model\n'$(id)\x1b[2J"
STAND_IN = "\n".join(
    f"{name}() {{ printf '%s\\0' \"$@\"; }}" for name in ("vllm", "sglang", "llama-server", "mtpbench")
)
STRANGE = Pair("strange", HOSTILE, HOSTILE + "-d")


def wanted(pair: Pair, engine: EngineConfig, draft: Draft | None = MTP, **more: Any) -> Deployment:
    return Deployment(pair, replace(engine, draft=draft), 1, 24, **more)


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
    said = subprocess.run(["bash", "-c", f"{STAND_IN}\n{command}"], capture_output=True, text=True, check=True)
    return said.stdout.split("\0")[:-1]


@pytest.mark.model
def test_transformers_runs_its_programs_and_they_agree() -> None:
    engine, arms = the_demo_pair.ENGINE, (None, MTP, Draft("prompt-lookup", 3))
    (said,) = {ran(text("transformers", wanted(the_demo_pair.PAIR, engine, draft))) for draft in arms}
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


def in_its_environment(name: str) -> tuple[str, Mapping[str, str]]:
    interpreter = interpreter_of(name)
    environment = environment_of(interpreter, worker_environment(os.environ, 1))
    return interpreter, {**environment, "HF_HUB_OFFLINE": "1"}


@needs("mlx")
@pytest.mark.model
def test_mlx_runs_its_programs_and_they_agree() -> None:
    engine, place = EngineConfig(dtype="float32", device="cpu"), in_its_environment("mlx")
    (said,) = {ran(text("mlx", wanted(the_demo_pair.PAIR, engine, draft)), *place) for draft in (None, MTP)}
    assert len(said) > 20


def test_mlx_needs_mtpbench_only_for_a_checkpoint_that_it_cannot_read() -> None:
    assert "backends" in text("mlx", wanted(the_demo_pair.PAIR, EngineConfig()))
    published = text("mlx", wanted(Pair("p", "org/t", "org/a"), EngineConfig(dtype="bfloat16", device="mps")))
    assert "backends" not in published
    assert "draft_block_size=5" in published and "target.set_dtype(mx.bfloat16)" in published
    compile(text("mlx", wanted(STRANGE, EngineConfig(dtype="float32\nprint()"))), "snippet", "exec")


@needs("litert")
def test_litert_runs_its_programs_and_they_agree() -> None:
    engine, place = EngineConfig(device="cpu", threads=1), in_its_environment("litert")
    plain, drafted = (
        ran(text("litert", wanted(the_litert_bundle.PAIR, engine, draft)), *place) for draft in (None, MTP)
    )
    assert len(plain) > 20
    assert drafted.startswith(plain.rstrip("\n"))  # a last round runs past the limit
    compile(text("litert", wanted(STRANGE, EngineConfig())), "snippet", "exec")


@needs("llamacpp")
def test_llama_server_s_own_parser_takes_its_command_and_drafts() -> None:
    """The embedded server of xllamacpp, whose flags llama.cpp's own parser reads; no standalone binary is here."""
    command = text("llamacpp", wanted(the_gguf_pair.PAIR, EngineConfig(device="cpu", threads=1)))
    interpreter, environment = in_its_environment("llamacpp")
    serve = [interpreter, "-P", "-m", "backends.llama.serve", *words(command)]
    with (
        process.started("llama-server", lambda port: [*serve, "--port", str(port)], environment=environment) as server,
        http.client(server.url) as to,
    ):
        answer = http.post(to, "/completion", {"prompt": "Once upon a time", "n_predict": 24, "temperature": 0})
    assert answer["content"] and answer["timings"]["draft_n"] > 0


def test_llama_server_is_started_with_what_decided_its_speed() -> None:
    engine = EngineConfig(device="cuda:1", max_batch=4, max_context=300, options={"flash-attn": "off"})
    command = text("llamacpp", wanted(Pair("p", "t.gguf", "d.gguf"), engine, facts=facts("", "CUDA1 NVIDIA H200")))
    found = words(command)
    assert found[:6] == ["--model", "t.gguf", "--parallel", "4", "--device", "CUDA1"]
    assert found[-2:] == ["--flash-attn", "off"] and "--ctx-size" not in found
    assert words(text("llamacpp", wanted(STRANGE, EngineConfig())))[1] == HOSTILE
    assert "spec" not in text("llamacpp", wanted(STRANGE, EngineConfig(), None))


def test_sglang_is_served_with_words_of_the_measured_launch() -> None:
    engine = EngineConfig(dtype="bfloat16", options={"tp": 2})
    found = words(text("sglang", wanted(STRANGE, engine)))
    launched = sglang_flags.arguments(STRANGE, replace(engine, draft=MTP), 1)
    assert found[:3] == ["serve", "--model-path", HOSTILE]
    assert set(found) <= set(launched) and "--speculative-num-steps" in found and "--host" not in found


def test_an_ollama_modelfile_takes_tags_only() -> None:
    found = text("ollama", wanted(Pair("t", "gemma4:e4b", None), EngineConfig(threads=2, options={"num_ctx": 512})))
    assert found.splitlines()[1:5] == [
        "FROM gemma4:e4b",
        "PARAMETER draft_num_predict 4",
        "PARAMETER num_thread 2",
        "PARAMETER num_ctx 512",
    ]
    assert "draft_num_predict 0" in text("ollama", wanted(Pair("t", "gemma4:e4b", None), EngineConfig(), None))
    with pytest.raises(UsageError, match="no tag"):
        text("ollama", wanted(Pair("t", "x\nADAPTER /etc/passwd", None), EngineConfig()))


def test_the_reference_engine_is_measured_again_and_not_deployed() -> None:
    found = text("reference", wanted(the_demo_pair.PAIR, the_demo_pair.ENGINE))
    sweep = ["-b", "reference", "-m", "demo", "-B", "1", "--method", "mtp", "-k", "4"]
    assert words(found)[: 1 + len(sweep)] == ["run", *sweep]
    assert "measuring engine" in found
    done = subprocess.run(
        [sys.executable, "-m", "mtpbench", *words(found), "--dry-run"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_server_by_its_url_has_nothing_to_deploy() -> None:
    assert discover.load("openai").deployment(wanted(STRANGE, EngineConfig())) is None
