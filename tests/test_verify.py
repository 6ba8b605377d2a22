"""`mtpbench verify` as a user does it: over the demo pair and the real Transformers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mtpbench.cli import run

pytestmark = pytest.mark.model

SWEEP = "-m demo -w demo --dtype float32 --threads 1 --json".split()
EQUIVALENCE = set(
    "verdict prompts identical tie batch_numerics unexplained max_regret control_divergences".split()
)  # DESIGN's `show --json`, schema 1: keys may be added, none goes away
SAMPLING = {"verdict", "p", "power_at", "n"}

Found = tuple[Path, int, dict[str, Any]]
"""The run file, the exit code, and what --json printed."""


def mtpbench(path: Path, *arguments: str) -> Found:
    command = [sys.executable, "-m", "mtpbench", *arguments, *SWEEP, "--out", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return path, done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def greedy(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return mtpbench(tmp_path_factory.mktemp("greedy") / "run.sqlite", *"verify -k 1,4 --prompts 3 -n 16 -p 32".split())


@pytest.fixture(scope="module")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> Found:
    asked = "verify -k 4 --temperature 0.8 --prompts 6 --draws 3 -n 36 -p 32 --no-report".split()
    return mtpbench(tmp_path_factory.mktemp("sampled") / "run.sqlite", *asked)


def test_float32_is_identical_wherever_the_undrafted_controls_are(greedy: Found) -> None:
    _, code, found = greedy
    assert code == 0
    assert found["certificate"] == {"equivalence": "identical", "sampling": None, "reasons": []}
    assert [cell["draft_length"] for cell in found["cells"]] == [1, 4]
    for cell in found["cells"]:
        proof = cell["equivalence"]
        assert (cell["status"], proof["verdict"], proof["identical"], proof["prompts"]) == ("ok", "identical", 3, 3)
        assert {control["kind"]: control["diverged"] for control in proof["controls"]} == {"again": 0, "batch-shape": 0}
        assert proof["control_divergences"] == proof["beyond_controls"] == 0
        assert proof["max_regret"] <= proof["tolerance"]
        assert 0 < proof["tolerance"] < 1e-3
        assert proof["scored"] <= proof["sequences"]
        assert cell["speedup"] is None


def test_the_noise_is_that_of_every_token_of_the_plain_arm(greedy: Found) -> None:
    for cell in greedy[2]["cells"]:
        assert cell["equivalence"]["noise_tokens"] == 3 * 16


def test_the_json_has_the_contract_s_keys_and_is_the_same_from_the_file(
    greedy: Found, sampled: Found, capsys: pytest.CaptureFixture[str]
) -> None:
    for key, keys, (path, _, found) in (("equivalence", EQUIVALENCE, greedy), ("sampling", SAMPLING, sampled)):
        assert run(["show", str(path), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == found
        other = {"equivalence": "sampling", "sampling": "equivalence"}[key]
        for cell in found["cells"]:
            assert cell[key].keys() >= keys
            assert cell[other] is None


def test_a_report_is_written_beside_the_run_file_unless_left_out(greedy: Found, sampled: Found) -> None:
    assert "identical" in greedy[0].with_suffix(".html").read_text("utf-8")
    assert not sampled[0].with_suffix(".html").exists()


def test_transformers_sampling_with_an_mtp_drafter_is_biased_and_both_controls_say_so(sampled: Found) -> None:
    """It takes the drafter's argmax for a draw of its distribution (METHOD section 5: real failures to catch)."""
    _, code, found = sampled
    assert code == 1
    assert found["certificate"]["sampling"] == "biased"
    (cell,) = found["cells"]
    proof = cell["sampling"]
    assert (cell["status"], proof["verdict"]) == ("ok", "biased")
    assert (proof["negative_control"], proof["positive_control"]) == (True, True)
    assert proof["positive_temperature"] == pytest.approx(0.6)
    assert proof["n"] >= 500
    assert proof["draws"] == 6 * 3
    assert proof["p"] < proof["level"] / 1000
    worst = min((test for test in proof["tests"] if test["arm"] == "speculative"), key=lambda test: test["adjusted"])
    assert (worst["name"], worst["where"]) == ("surprisal", "draft positions")
    assert worst["statistic"] > 0  # the drafter's tokens are too probable


def test_a_timed_run_carries_the_certificate_of_every_cell(tmp_path: Path) -> None:
    asked = "run -b transformers -k 1,2 --prompts 2 -n 8 -p 32 --repeats 1 --no-report".split()
    _, code, found = mtpbench(tmp_path / "run.sqlite", *asked)
    assert code == 0
    assert found["certificate"]["equivalence"] == "identical"
    for cell in found["cells"]:
        proof = cell["equivalence"]
        assert (cell["status"], proof["verdict"], proof["prompts"], proof["noise_tokens"]) == ("ok", "identical", 2, 16)
        assert cell["speedup"] is not None
        assert proof["sequences"] == 2 * 3  # two timed calls and one with instruments per prompt
        assert proof["scored"] == 2
