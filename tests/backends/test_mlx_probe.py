"""What the MLX adapter says about versions and platforms, and which wrong inputs it refuses before loading."""

import platform

import pytest
from the_demo_pair import PAIR

import backends.mlx as adapter
from backends.mlx import Adapter, caveat, refusal
from backends.mlxvlm.options import Options
from results.errors import UsageError
from results.records import EngineConfig, Json, Pair


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Versions as the adapter sees them; change them to pretend others."""
    versions: dict[str, str | None] = {"mlx": "0.32.4", "mlx-vlm": "0.7.10"}
    monkeypatch.setattr(adapter, "installed", versions.get)
    return versions


def refused(engine: EngineConfig, pair: Pair = PAIR) -> str:
    with pytest.raises(UsageError) as caught, Adapter().open(pair, engine):
        pytest.fail("it opened")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("missing", ["mlx", "mlx-vlm"])
def test_a_missing_package_is_named_with_the_command(installed: dict[str, str | None], missing: str) -> None:
    installed[missing] = None
    found = Adapter().probe()
    assert (found.usable, found.reason) == (False, f"{missing} is not installed")
    assert found.advice == "mtpbench env create mlx"
    assert refused(EngineConfig()).endswith("run: mtpbench env create mlx")


def test_versions_whose_records_were_never_read_are_refused(installed: dict[str, str | None]) -> None:
    installed["mlx-vlm"] = "0.7.9"
    found = Adapter().probe()
    assert (found.usable, found.version) == (False, "0.7.9")
    assert "0.7.9 was never tried" in found.reason
    assert "0.7.9 was never tried" in refused(EngineConfig())


def test_newer_versions_are_usable_with_a_caveat() -> None:
    assert refusal("0.8.0") is None
    assert caveat("0.8.0") == "tried with 0.7.10; 0.8.0 was not tried"
    assert caveat("0.7.10") == ""


@pytest.mark.parametrize(
    ("system", "machine", "phrase"),
    [("Windows", "AMD64", "not on Windows"), ("Darwin", "x86_64", "needs Apple silicon")],
)
def test_platforms_without_mlx_are_refused(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str | None], system: str, machine: str, phrase: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert phrase in Adapter().probe().reason


def test_methods_that_it_lacks_are_refused(installed: dict[str, str | None]) -> None:
    assert refused(EngineConfig(methods=("eagle3",))) == "the MLX adapter has no draft method 'eagle3'; it has mtp"


def test_a_drafter_that_does_not_fit_is_refused_before_anything_loads(installed: dict[str, str | None]) -> None:
    assert "is no MTP assistant" in refused(EngineConfig(methods=("mtp",)), Pair("x", PAIR.target, PAIR.target))


def test_options_are_taken_by_name_and_type() -> None:
    assert Options.of({}) == Options()
    assert Options.of({"prefill_step_size": 64, "revision": "main"}) == Options("main", None, 64)


@pytest.mark.parametrize(
    ("given", "phrase"),
    [
        ({"prefil_step_size": 64}, "no option 'prefil_step_size': did you mean mlx.prefill_step_size?"),
        ({"prefill_step_size": True}, "mlx.prefill_step_size: expected a whole number of at least 1, not True"),
        ({"revision": 3}, "mlx.revision: expected a text, not 3"),
    ],
)
def test_other_options_are_refused(given: dict[str, Json], phrase: str) -> None:
    with pytest.raises(UsageError, match=r"mlx.*") as caught:
        Options.of(given)
    assert phrase in str(caught.value)
