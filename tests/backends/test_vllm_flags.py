"""Pair + engine -> the arguments and the environment of `vllm serve`."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import vllm_configs
from hosted import needs

from backends.vllm_server import flags
from harness.environment import worker_environment
from harness.interpreters import environment_of, interpreter_of
from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair

PAIR = Pair("p", "TARGET", "DRAFTER")
ENGINE = EngineConfig(dtype="float32", device="cpu", threads=1, max_context=512)


def arguments(engine: EngineConfig, pair: Pair = PAIR, *, cpu: bool = True, revealing: bool = True) -> list[str]:
    return flags.arguments(pair, engine, 8001, cpu=cpu, revealing=revealing, limit=2048)


def drafting(method: str, k: int = 3) -> dict[str, Json]:
    found = flags.speculative(PAIR, Draft(method, k), None)
    assert found is not None
    return found


def refused(engine: EngineConfig, pair: Pair = PAIR) -> str:
    with pytest.raises(UsageError) as caught:
        arguments(engine, pair)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_plain_arm_is_the_model_with_neutral_defaults() -> None:
    assert arguments(ENGINE) == [
        "TARGET",
        "--host=127.0.0.1",
        "--port=8001",
        "--served-model-name=target",
        "--generation-config=vllm",
        "--no-enable-prefix-caching",
        "--disable-uvicorn-access-log",
        "--enable-prompt-tokens-details",
        "--enable-per-request-metrics",
        "--logprobs-mode=raw_logits",
        "--max-logprobs=-1",
        "--max-model-len=513",
        "--dtype=float32",
        "--enforce-eager",
    ]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("mtp", {"model": "DRAFTER"}),
        ("draft-model", {"method": "draft_model", "model": "DRAFTER"}),
        ("prompt-lookup", {"method": "ngram"}),
        ("eagle3", {"method": "eagle3", "model": "DRAFTER"}),
        ("native-mtp", {"method": "mtp"}),
    ],
)
def test_every_method_has_its_speculative_config(method: str, expected: dict[str, Json]) -> None:
    assert drafting(method) == {**expected, "num_speculative_tokens": 3}


def test_arms_differ_by_speculation_alone() -> None:
    plain, drafted = set(arguments(ENGINE)), set(arguments(replace(ENGINE, draft=Draft("mtp", 4))))
    assert plain <= drafted
    assert drafted - plain == {
        "--per-request-spec-decode-metrics=detailed",
        '--speculative-config={"model": "DRAFTER", "num_speculative_tokens": 4}',
    }


def test_a_version_that_reveals_less_is_not_asked_for_more() -> None:
    old = arguments(replace(ENGINE, draft=Draft("mtp", 4)), revealing=False)
    assert not [each for each in old if "per-request" in each or "logprobs" in each]


def test_a_gpu_is_left_to_compile_and_to_fill_its_memory() -> None:
    assert "--enforce-eager" not in arguments(ENGINE, cpu=False)
    assert flags.environment(ENGINE, {}, cpu=False).keys() == {
        *("VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
    }


def test_the_context_has_room_to_score_the_last_token_and_is_never_beyond_the_target_s() -> None:
    assert "--max-model-len=2048" in arguments(replace(ENGINE, max_context=2048))
    assert not [each for each in arguments(replace(ENGINE, max_context=None)) if "max-model-len" in each]
    own = arguments(replace(ENGINE, options={"max_model_len": 1024}))
    assert [each for each in own if "max-model-len" in each] == ["--max-model-len=1024"]


def test_more_requests_in_flight_than_vllm_takes_by_itself_are_asked_for() -> None:
    assert "--max-num-seqs=200" in arguments(replace(ENGINE, max_batch=200))
    assert not [each for each in arguments(replace(ENGINE, max_batch=64)) if "max-num-seqs" in each]


def test_options_become_flags() -> None:
    options: dict[str, Json] = {
        "tensor_parallel_size": 2,
        "enforce_eager": False,
        "enable_chunked_prefill": True,
        "kv_cache_dtype": "fp8",
        "compilation_config": {"mode": 3},
        "cudagraph_capture_sizes": [1, 2],
        "speculative_config": {"quantization": "fp8"},
    }
    found = arguments(replace(ENGINE, options=options, draft=Draft("mtp", 2)))
    assert found[-8:] == [
        "--tensor-parallel-size=2",
        "--no-enforce-eager",
        "--enable-chunked-prefill",
        "--kv-cache-dtype=fp8",
        '--compilation-config={"mode": 3}',
        "--cudagraph-capture-sizes",
        "1",
        "2",
    ]
    assert '{"model": "DRAFTER", "num_speculative_tokens": 2, "quantization": "fp8"}' in " ".join(found)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("port", "mtpbench chooses it"),
        ("hf_token", "environment variable HF_TOKEN"),
        ("hf_tok", "environment variable HF_TOKEN"),  # vLLM's parser completes abbreviations
        ("trust_remote", "--trust-remote-code"),
        ("enable_prefix_caching", "spoil the time to the first token"),
        ("speculative_config.method", "write it as a table"),
        ("speculative", "write it as a table"),
        ("logits_processors", "pass --trust-remote-code"),
        ("kv_transfer_config.kv_connector_module_path", "pass --trust-remote-code"),
        ("Tensor-Parallel --port", "no option's name"),
    ],
)
def test_options_that_would_undo_the_measurement_or_load_code_are_refused(name: str, told: str) -> None:
    assert told in refused(replace(ENGINE, options={name: "x"}))


def test_code_is_loaded_only_where_the_command_line_allows_it() -> None:
    trusted = replace(ENGINE, trust_remote_code=True, options={"logits_processors": ["a.b:C"]})
    found = arguments(trusted)
    assert "--trust-remote-code" in found
    assert found[-3:-1] == ["--logits-processors", "a.b:C"]


@pytest.mark.parametrize("value", [None, [], ["--port=1"], [["a"]]])
def test_a_value_cannot_bring_a_second_flag_with_it(value: Json) -> None:
    assert "option vllm.cudagraph_capture_sizes" in refused(replace(ENGINE, options={"cudagraph_capture_sizes": value}))


@pytest.mark.parametrize("key", ["model", "method", "num_speculative_tokens"])
def test_the_arm_is_chosen_by_the_sweep_alone(key: str) -> None:
    assert "not yours to set" in refused(replace(ENGINE, options={"speculative_config": {key: "x"}}))


def test_what_vllm_does_not_have_is_refused() -> None:
    assert "choose auto, float32" in refused(replace(ENGINE, dtype="int4"))
    assert "it has mtp, draft-model" in refused(replace(ENGINE, draft=Draft("medusa", 2)))
    assert "name it as in -m" in refused(replace(ENGINE, draft=Draft("eagle3", 2)), Pair("p", "TARGET", None))
    assert "takes a table" in refused(replace(ENGINE, options={"speculative_config": "fp8"}))


def test_forced_acceptance_is_known() -> None:
    assert flags.forced({"rejection_sample_method": "synthetic"})
    assert not flags.forced({"quantization": "synthetic"})
    assert not flags.forced(None)


def test_threads_are_the_user_s_and_not_one_per_core() -> None:
    found = flags.environment(ENGINE, {}, cpu=True)
    assert (found["OMP_NUM_THREADS"], found["VLLM_CPU_OMP_THREADS_BIND"]) == ("1", "nobind")
    own = flags.environment(ENGINE, {"VLLM_CPU_OMP_THREADS_BIND": "0-1"}, cpu=True)
    assert "VLLM_CPU_OMP_THREADS_BIND" not in own
    assert "VLLM_CPU_OMP_THREADS_BIND" not in flags.environment(replace(ENGINE, threads=None), {}, cpu=True)


def test_keys_and_values_take_a_gibibyte_of_a_cpu_unless_told_otherwise() -> None:
    assert flags.environment(ENGINE, {}, cpu=True)["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert "VLLM_CPU_KVCACHE_SPACE" not in flags.environment(ENGINE, {"VLLM_CPU_KVCACHE_SPACE": "4"}, cpu=True)
    told = replace(ENGINE, options={"kv_cache_memory_bytes": 1 << 28})
    assert "VLLM_CPU_KVCACHE_SPACE" not in flags.environment(told, {}, cpu=True)


def test_a_gpu_is_chosen_among_those_that_are_visible() -> None:
    second = replace(ENGINE, device="cuda:1")
    assert flags.environment(second, {}, cpu=False)["CUDA_VISIBLE_DEVICES"] == "1"
    assert flags.environment(second, {"CUDA_VISIBLE_DEVICES": "4,6"}, cpu=False)["CUDA_VISIBLE_DEVICES"] == "6"
    with pytest.raises(UsageError, match="shows 1"):
        flags.environment(second, {"CUDA_VISIBLE_DEVICES": "4"}, cpu=False)


@pytest.mark.parametrize(
    ("device", "cpu", "told"),
    [
        ("mps", True, "choose auto, cpu, cuda"),
        ("cpu:0", True, "choose auto"),
        ("cuda:x", False, "choose auto"),
        ("cuda", True, "built for CPUs only"),
        ("cpu", False, "built not for CPUs"),
    ],
)
def test_a_device_that_this_build_does_not_compute_on_is_refused(device: str, cpu: bool, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        flags.refuse_device(device, cpu=cpu)


@needs("vllm")
@pytest.mark.model
def test_vllm_s_own_parser_and_configuration_understand_every_method_and_how_it_is_deployed(tmp_path: Path) -> None:
    llama = vllm_configs.folder(tmp_path / "llama", vllm_configs.LLAMA)
    small = vllm_configs.folder(tmp_path / "small", {**vllm_configs.LLAMA, "num_hidden_layers": 1})
    eagle = vllm_configs.folder(tmp_path / "eagle3", vllm_configs.EAGLE3)
    deepseek = vllm_configs.folder(tmp_path / "deepseek", vllm_configs.DEEPSEEK)
    demo = str(vllm_configs.DEMO / "target"), str(vllm_configs.DEMO / "assistant")
    asked = {
        None: (llama, None, None, None),
        "mtp": (*demo, "mtp", "Gemma4MTPModel"),
        "draft-model": (llama, small, "draft_model", "LlamaForCausalLM"),
        "prompt-lookup": (llama, None, "ngram", "LlamaForCausalLM"),
        "eagle3": (llama, eagle, "eagle3", "LlamaForCausalLMEagle3"),
        "native-mtp": (deepseek, None, "mtp", "DeepSeekMTPModel"),
    }
    given = [
        arguments(
            replace(ENGINE, max_context=256, draft=Draft(method, 3) if method else None), Pair("p", target, drafter)
        )
        for method, (target, drafter, _, _) in asked.items()
    ]
    pair = Pair("p", *demo)
    arm = replace(ENGINE, draft=Draft("mtp", 3))
    drafts = flags.drafts(pair, arm, by_batch=((1, 4), (4, 2), (16, 0)))
    *found, plain, drafted, scheduled = in_vllm(
        [
            *given,
            flags.served(pair, replace(ENGINE, options={"max_num_seqs": 8}), cpu=True),
            flags.served(pair, arm, cpu=True),
            [*flags.served(pair, ENGINE, cpu=True), *drafts],
        ]
    )
    assert (plain["method"], drafted["method"], drafted["k"], drafted["by_batch"]) == (None, "mtp", 3, None)
    assert (scheduled["k"], scheduled["by_batch"]) == (4, [4, *[2] * 3, *[0] * 16])
    assert [each["method"] for each in found] == [method for _, _, method, _ in asked.values()]
    assert [each["drafter"] for each in found] == [drafter for _, _, _, drafter in asked.values()]
    assert [each["k"] for each in found] == [None, 3, 3, 3, 3, 3]
    common = {"max_model_len": 257, "logprobs_mode": "raw_logits", "prefix_caching": False, "eager": True}
    assert all(each.items() >= {**common, "dtype": "torch.float32"}.items() for each in found)


def in_vllm(given: list[list[str]]) -> list[dict[str, Any]]:
    interpreter = interpreter_of("vllm")
    environment = environment_of(interpreter, worker_environment(os.environ, 1)) | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [interpreter, "-P", vllm_configs.__file__],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        check=False,
    )
    lines = [line.removeprefix(vllm_configs.MARK) for line in done.stdout.splitlines() if vllm_configs.MARK in line]
    assert len(lines) == len(given), done.stderr[-2000:]
    return [json.loads(line) for line in lines]
