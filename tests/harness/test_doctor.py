"""The examination of this machine."""

from pathlib import Path

import pytest

from backends import discover
from harness.doctor import examine
from results.verdicts import as_json


def test_every_runtime_is_probed_and_one_that_is_missing_says_what_to_do(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discover, "names", lambda: ["absent", "scripted"])
    findings = as_json(examine())
    absent, scripted = findings["runtimes"]
    assert scripted["availability"]["usable"]
    assert not absent["availability"]["usable"]
    assert absent["availability"]["advice"] == "pip install absent"
    assert findings["machine"]["cpu"]["architecture"]


def test_a_runtime_that_dies_while_probed_is_not_usable(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "names", lambda: ["dying"])
    (found,) = examine().runtimes
    assert not found.availability.usable
    assert found.availability.reason.startswith("probing it failed: dying: the worker died of signal 6")
