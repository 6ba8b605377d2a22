"""What the Transformers adapter says about versions, and which wrong inputs it refuses before loading."""

import json
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
from the_demo_pair import DEMO, PAIR

import backends.transformers as adapter
from backends.transformers import Adapter, caveat, methods_of, refusal
from results.errors import UsageError
from results.records import EngineConfig, Pair


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Versions as the adapter sees them; change them to pretend others."""
    versions: dict[str, str | None] = {"transformers": "5.22.2", "torch": "2.13.0"}
    monkeypatch.setattr(adapter, "installed", versions.get)
    return versions


def refused(pair: Pair, engine: EngineConfig) -> str:
    with pytest.raises(UsageError) as caught, Adapter().open(pair, engine):
        pytest.fail("it opened")
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_what_is_installed_here_is_usable() -> None:
    here = Adapter().probe()
    assert (here.usable, here.version) == (True, version("transformers"))
    assert here.device in ("cpu", "mps", "cuda:0")


@pytest.mark.parametrize("missing", ["transformers", "torch"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    installed: dict[str, str | None], missing: str
) -> None:
    installed[missing] = None
    found = Adapter().probe()
    assert not found.usable
    assert found.reason == f"{missing} is not installed"
    assert found.advice == "pip install 'mtpbench[transformers]'"


def test_the_broken_version_is_refused_with_the_reason(installed: dict[str, str | None]) -> None:
    installed["transformers"] = "5.23.0"
    found = Adapter().probe()
    assert not found.usable
    assert "can construct no MTP assistant" in found.reason
    assert found.advice == "pip install 'transformers==5.22.2'"
    assert "can construct no MTP assistant" in refused(PAIR, EngineConfig())


@pytest.mark.parametrize("old", ["5.17.0", "5.10.1", "5.0.0"])
def test_versions_that_understate_acceptance_do_everything_but_mtp(installed: dict[str, str | None], old: str) -> None:
    installed["transformers"] = old
    assert Adapter().capabilities.methods == ("draft-model", "prompt-lookup")
    assert "#48703" in caveat(old)
    assert "#48703" in refused(PAIR, EngineConfig(methods=("mtp",)))


@pytest.mark.parametrize("good", ["5.18.0", "5.20.2", "5.22.2", "5.24.1"])
def test_later_versions_have_mtp_as_their_main_method(good: str) -> None:
    assert methods_of(good)[0] == "mtp"
    assert refusal(good) is None
    assert caveat(good) == ("" if good == "5.22.2" else f"tried with 5.22.2; {good} was not tried")


@pytest.mark.parametrize("version", ["5.23.0", "5.23.0.dev0", "5.23.0rc1"])
def test_every_build_of_the_broken_version_is_refused(version: str) -> None:
    assert refusal(version)


def test_a_version_without_gemma_4_is_refused() -> None:
    assert "knows no Gemma 4" in str(refusal("4.57.3"))


def test_a_method_it_does_not_have_is_refused_with_those_it_has() -> None:
    assert refused(PAIR, EngineConfig(methods=("eagle",))) == (
        "Transformers has no draft method 'eagle'; it has mtp, draft-model, prompt-lookup"
    )


def test_an_assistant_for_another_hidden_size_is_refused(tmp_path: Path) -> None:
    shutil.copytree(DEMO / "assistant", tmp_path / "assistant")
    config = json.loads((tmp_path / "assistant" / "config.json").read_text())
    (tmp_path / "assistant" / "config.json").write_text(json.dumps(config | {"backbone_hidden_size": 256}))
    message = refused(Pair("x", PAIR.target, str(tmp_path / "assistant")), EngineConfig(methods=("mtp",)))
    assert "the assistant expects hidden size 256, the target has 128" in message


@pytest.mark.parametrize(
    ("engine", "phrase"),
    [
        (EngineConfig(device="tpu"), "device 'tpu' is none that Transformers takes; choose auto, cpu, cuda, cuda:N"),
        (EngineConfig(device="cuda:99"), "device 'cuda:99' is not here; here are: "),
        (EngineConfig(device="cpu:1"), "device 'cpu:1' is none that Transformers takes"),
        (EngineConfig(dtype="int3"), "dtype 'int3' is none that Transformers takes; choose auto, float32, bfloat16"),
        (
            EngineConfig(options={"attn_implementatio": "sdpa"}),
            "has no option 'attn_implementatio'; did you mean attn_",
        ),
        (EngineConfig(options={"revision": 3}), "option transformers.revision takes str, not 3"),
        (EngineConfig(options={"attn_implementation": "magic"}, device="cpu"), "cannot load "),
        (EngineConfig(options={"attn_implementation": "owner/kernel"}, device="cpu"), "loads code from a hub"),
    ],
)
def test_engine_settings_that_make_no_sense_are_refused(engine: EngineConfig, phrase: str) -> None:
    assert phrase in refused(PAIR, engine)


def test_a_hub_id_that_is_not_here_and_not_reachable_is_one_line() -> None:
    message = refused(Pair("x", "nobody/nothing", None), EngineConfig(options={"local_files_only": True}))
    assert message.startswith("cannot load nobody/nothing: ")
    assert message.endswith("give a local folder, or a hub id that is downloaded or reachable")


def test_damaged_weights_are_one_line(tmp_path: Path) -> None:
    shutil.copytree(DEMO / "target", tmp_path / "target")
    weights = tmp_path / "target" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    message = refused(Pair("x", str(tmp_path / "target"), None), EngineConfig(device="cpu"))
    assert message.startswith(f"cannot load {tmp_path / 'target'}: ")
