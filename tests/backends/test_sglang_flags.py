"""Arguments of `sglang serve` for every arm; nothing is started."""

import pytest

from backends.sglang_server import flags, versions
from results.errors import UsageError
from results.records import Draft, EngineConfig, Json, Pair

PAIR = Pair("p", "/m/target", "/m/assistant")


def given(draft: Draft | None = None, engine: EngineConfig | None = None, **options: Json) -> dict[str, str]:
    """Flag -> value ("" for a switch)."""
    words = flags.arguments(PAIR, engine or EngineConfig(draft=draft, options=options), 8000)
    assert words[0] == "serve"
    found: dict[str, str] = {}
    for word in words[1:]:
        if word.startswith("--"):
            name = word
            found[name] = ""
        else:
            found[name] = f"{found[name]} {word}".strip()
    return found


def test_the_plain_arm_has_no_word_of_speculation() -> None:
    found = given()
    assert not [flag for flag in found if "speculative" in flag]
    assert (found["--model-path"], found["--host"], found["--port"]) == ("/m/target", "127.0.0.1", "8000")
    assert found["--stream-interval"] == "1"


@pytest.mark.parametrize(
    ("method", "algorithm", "drafter"),
    [
        ("mtp", "NEXTN", "/m/assistant"),
        ("eagle3", "EAGLE3", "/m/assistant"),
        ("draft-model", "STANDALONE", "/m/assistant"),
        ("prompt-lookup", "NGRAM", None),
        ("native-mtp", "NEXTN", None),
    ],
)
def test_every_method_sets_all_three_numbers(method: str, algorithm: str, drafter: str | None) -> None:
    found = given(Draft(method, 5))
    assert found["--speculative-algorithm"] == algorithm
    assert found.get("--speculative-draft-model-path") == drafter
    assert found["--speculative-num-steps"] == "5"
    assert found["--speculative-eagle-topk"] == "1"
    assert found["--speculative-num-draft-tokens"] == "6"


def test_prompt_lookup_drafts_a_chain() -> None:
    found = given(Draft("prompt-lookup", 3))
    assert found["--speculative-ngram-max-bfs-breadth"] == "1"
    assert "--speculative-ngram-max-bfs-breadth" not in given(Draft("mtp", 3))


@pytest.mark.parametrize("draft", [None, *(Draft(method, 3) for method in versions.METHODS)])
def test_the_overlap_schedule_is_never_switched_off(draft: Draft | None) -> None:
    assert "--disable-overlap-schedule" not in given(draft)
    with pytest.raises(UsageError, match="disable_overlap_schedule is not yours to set: with MTP it ends the server"):
        given(draft, disable_overlap_schedule=True)


def test_arms_differ_in_speculation_alone() -> None:
    plain, drafted = given(), given(Draft("mtp", 2))
    assert {flag: value for flag, value in drafted.items() if "speculative" not in flag} == plain


def test_deterministic_inference_brings_an_attention_backend_that_has_it() -> None:
    assert given(deterministic=True)["--attention-backend"] == "triton"
    assert "--enable-deterministic-inference" in given(deterministic=True)
    assert given(deterministic=True, attention_backend="fa4")["--attention-backend"] == "fa4"
    assert "--attention-backend" not in given()
    with pytest.raises(UsageError, match=r"sglang\.deterministic takes true or false, not 1"):
        given(deterministic=1)


def test_a_user_s_options_become_flags() -> None:
    found = given(tp_size=2, mem_fraction_static=0.4, enable_torch_compile=True, cuda_graph_bs=[1, 2])
    assert (found["--tp-size"], found["--mem-fraction-static"], found["--enable-torch-compile"]) == ("2", "0.4", "")
    assert found["--cuda-graph-bs"] == "1 2"
    assert given(json_model_override_args={"a": 1})["--json-model-override-args"] == '{"a": 1}'


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("speculative_num_steps", 3, "--method and -k set it"),
        ("speculative_num_dr", 3, "--method and -k set it"),  # its parser completes abbreviations
        ("api_key", "sk-secret", "keys are never recorded"),
        ("port", 1, "mtpbench chooses it"),
        ("dtype", "half", "use --dtype"),
        ("forward_hooks", "x.y", "pass --trust-remote-code to allow that"),
        ("enable_torch_compile", False, "leave it out, or set it to true"),
        ("attention_backend", "--port", "a value cannot begin with a hyphen"),
        ("attention_backend", None, "takes a text"),
        ("Tp", 1, "no option's name"),
    ],
)
def test_what_would_contradict_the_measurement_is_refused(name: str, value: Json, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        given(**{name: value})
    assert "secret" not in str(caught.value)


def test_devices() -> None:
    assert "--device" not in given()
    found = given(engine=EngineConfig(device="cuda:1"))
    assert (found["--device"], found["--base-gpu-id"]) == ("cuda", "1")
    with pytest.raises(UsageError, match="device 'mps' is none that SGLang takes here"):
        given(engine=EngineConfig(device="mps"))


def test_a_drafter_must_be_named() -> None:
    alone = Pair("p", "/m/target", None)
    with pytest.raises(UsageError, match="mtp needs a drafter"):
        flags.arguments(alone, EngineConfig(draft=Draft("mtp", 2)), 1)
    assert flags.arguments(alone, EngineConfig(draft=Draft("native-mtp", 2)), 1)


def test_versions_that_cannot_draft_for_gemma_4_are_refused() -> None:
    assert versions.method_refusal("0.5.11", "mtp", "gemma4_assistant") is not None
    assert versions.method_refusal("0.5.12", "mtp", "gemma4_assistant") is None
    unified = versions.method_refusal("0.5.12.post2", "mtp", versions.UNIFIED)
    assert unified == "SGLang 0.5.12.post2 does not know the assistant of Gemma 4 12B; 0.5.13 and later do"
    assert versions.method_refusal("0.5.13", "mtp", versions.UNIFIED) is None
    assert versions.method_refusal("0.5.11", "eagle3", None) is None
    assert "has no draft method 'medusa'" in str(versions.method_refusal("0.5.23", "medusa", None))
    assert versions.methods("0.5.11")[0] == "eagle3"
    assert versions.methods(None)[0] == "mtp"
    assert versions.refusal("0.4.9") is not None
