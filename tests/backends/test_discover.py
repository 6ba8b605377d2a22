"""Backends are found by their file's name or by an entry point, and nothing else needs to know them."""

import subprocess
import sys
from pathlib import Path

import pytest
from offering import offer

from backends import discover
from backends.base import Backend
from results.errors import UsageError


def test_every_own_backend_has_its_file_s_name() -> None:
    assert "transformers" in discover.names()
    for name in discover.names():
        assert discover.load(name).name == name


def test_modules_without_an_adapter_are_no_backends() -> None:
    assert not {"base", "wire", "worker", "discover", "fit", "fingerprint", "protocol", "hf"} & {*discover.names()}


def test_listing_and_loading_backends_imports_no_runtime() -> None:
    code = (
        "import sys; from backends import discover; [discover.load(n) for n in discover.names()]; print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "transformers", "numpy", "pydantic"} & {*modules.split()}


def test_an_outside_package_offers_a_backend_by_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, "fake", "fake_runtime:Adapter")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "fake" in discover.names()
    assert isinstance(discover.load("fake"), Backend)


def test_a_file_of_ours_goes_before_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, "transformers", "fake_runtime:Adapter")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert discover.load("transformers").title == "Hugging Face Transformers"
    assert discover.names().count("transformers") == 1


def test_an_entry_point_that_is_no_backend_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, "odd", "pathlib:PurePath")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=r"backend 'odd' is a \w+, which is no backends\.base\.Backend"):
        discover.load("odd")


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown backend 'transformer'; did you mean transformers\?"):
        discover.load("transformer")
    with pytest.raises(UsageError, match=r"unknown backend 'zzz'; did you mean .*transformers"):
        discover.load("zzz")
