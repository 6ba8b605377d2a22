"""Synthetic acceptance: what the options mean, and what can never be reached."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.reference import Adapter, settings
from backends.reference.synthetic import conditional_rate
from mtpbench.cli import run
from results.errors import UsageError
from results.judge import judge
from results.records import Draft, Json, Sampling
from results.runfile import RunFile

GOLDEN = """\
# key = num_speculative_tokens; value = golden AL
_metadata:
  1: 9
some-model:
  thinking_on: {1: 1.5, 2: 1.75, 3: 2.5}
  thinking_off: {1: 1.8, 2: 2.5}
"""


def forced(k: int, **options: Json) -> tuple[float, ...] | None:
    return settings.rule(settings.read(options), Draft("mtp", k), Sampling()).forced


def length(conditional: tuple[float, ...]) -> float:
    """1 + a1 + a1 a2 + ..."""
    total = joint = 1.0
    for rate in conditional:
        joint *= rate
        total += joint
    return total


def written(folder: Path, text: str) -> str:
    path = folder / "curve.yaml"
    path.write_text(text)
    return str(path)


def test_a_rate_holds_for_every_position_and_a_list_goes_on_with_its_last_one() -> None:
    assert forced(3) is None
    assert forced(3, acceptance=0.5) == (0.5, 0.5, 0.5)
    assert forced(4, acceptance=[0.9, 0.5]) == (0.9, 0.5, 0.5, 0.5)
    assert forced(1, acceptance=[0.9, 0.5]) == (0.9,)


@pytest.mark.parametrize(
    ("al", "k", "rate"), [(1.0, 4, 0.0), (5.0, 4, 1.0), (1.5, 1, 0.5), (1.75, 2, 0.5), (1.875, 3, 0.5)]
)
def test_one_conditional_rate_gives_the_acceptance_length(al: float, k: int, rate: float) -> None:
    assert conditional_rate(al, k) == pytest.approx(rate, abs=1e-9)
    assert forced(k, acceptance_length=al) == pytest.approx((rate,) * k, abs=1e-9)


@given(k=st.integers(1, 32), share=st.floats(0, 1))
def test_any_length_within_reach_is_reached(k: int, share: float) -> None:
    al = 1 + share * k
    assert length((conditional_rate(al, k),) * k) == pytest.approx(al, abs=1e-9)


@pytest.mark.parametrize(("al", "k"), [(3.01, 2), (2.5, 1)])
def test_more_than_a_round_can_give_is_refused_in_one_line(al: float, k: int) -> None:
    with pytest.raises(UsageError, match=rf"length {al} cannot be had at k = {k}: a round gives 1 to {k + 1} tokens"):
        forced(k, acceptance_length=al)


@pytest.mark.parametrize("value", [0.5, 0, "3", True, [3], float("inf")])
def test_what_is_no_acceptance_length_is_refused(value: Json) -> None:
    with pytest.raises(UsageError, match=r"reference\.acceptance_length: expected tokens per round, at least 1"):
        forced(2, acceptance_length=value)


@pytest.mark.parametrize("value", [1.5, -0.1, [], [0.5, 2], "0.5", [0.5, None], True])
def test_what_is_no_rate_is_refused(value: Json) -> None:
    with pytest.raises(UsageError, match=r"reference\.acceptance: expected a rate in 0\.\.1, or a list"):
        forced(2, acceptance=value)


def test_acceptance_is_said_once() -> None:
    with pytest.raises(UsageError, match=r"acceptance and reference\.acceptance_length say the same thing twice"):
        forced(2, acceptance=0.5, acceptance_length=2)


# --------------------------------------------------------------------------------------------------------- files


def test_a_golden_curve_gives_the_length_of_each_draft_length(tmp_path: Path) -> None:
    file = written(tmp_path, GOLDEN)
    for wanted in ("#thinking_on", "#some-model/thinking_on"):
        for k, al in ((1, 1.5), (2, 1.75), (3, 2.5)):
            found = forced(k, acceptance_file=file + wanted)
            assert found is not None and length(found) == pytest.approx(al)
    with pytest.raises(UsageError, match=r"thinking_on holds no acceptance length for k = 4: it has 1, 2, 3"):
        forced(4, acceptance_file=f"{file}#thinking_on")


def test_a_file_with_one_curve_needs_no_name_and_json_is_as_good(tmp_path: Path) -> None:
    found = forced(2, acceptance_file=written(tmp_path, json.dumps({"model": {"1": 1.5, "2": 1.75}})))
    assert found == pytest.approx((0.5, 0.5))


def test_vllm_s_joint_rates_become_conditional_ones(tmp_path: Path) -> None:
    config = {"speculative_config": {"method": "mtp", "synthetic_acceptance_rates": [0.8, 0.4, 0.4, 0]}}
    found = forced(4, acceptance_file=written(tmp_path, json.dumps(config)))
    assert found == pytest.approx((0.8, 0.5, 1.0, 0.0))


def test_vllm_s_acceptance_length_is_one(tmp_path: Path) -> None:
    found = forced(2, acceptance_file=written(tmp_path, "synthetic_acceptance_length: 1.75"))
    assert found == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (GOLDEN, r"2 curves of that name: choose one of .*#some-model/thinking_on, .*#some-model/thinking_off"),
        ("model: {name: x}", "holds no acceptance"),
        ("", "holds no acceptance"),
        ("a: [1", "is neither YAML nor JSON"),
        ("{1: 0.5}", r"k = 1: expected an acceptance length of at least 1.* not 0\.5"),
        ("{1: fast}", "not 'fast'"),
        ("synthetic_acceptance_rates: [0.4, 0.8]", "expected rates that do not rise"),
        ("synthetic_acceptance_rates: [1.4]", r"not 1\.4"),
        ("synthetic_acceptance_length: 0.2", r"not 0\.2"),
    ],
)
def test_a_file_that_says_nothing_usable_is_refused_in_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as refused:
        forced(1, acceptance_file=written(tmp_path, text))
    assert "\n" not in str(refused.value)


def test_a_curve_that_is_not_there_and_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="#other: no curves of that name: choose one of"):
        forced(1, acceptance_file=f"{written(tmp_path, GOLDEN)}#other")
    with pytest.raises(UsageError, match=r"nowhere\.yaml cannot be read: No such file"):
        forced(1, acceptance_file=str(tmp_path / "nowhere.yaml"))


def test_only_draft_lengths_that_cannot_reach_it_are_refused() -> None:
    able = Adapter()
    assert able.refused_lengths([1, 2, 3], {"path": "eager"}) == {}
    assert able.refused_lengths([1, 2, 3], {"acceptance": 0.9}) == {}
    refused = able.refused_lengths([1, 2, 3], {"acceptance_length": 2.5})
    assert refused == {1: "acceptance length 2.5 cannot be had at k = 1: a round gives 1 to 2 tokens"}
    with pytest.raises(UsageError, match="expected tokens per round"):
        able.refused_lengths([1], {"acceptance_length": 0})


ASKED = ["run", "-b", "reference", "-m", "demo", "-p", "40", "-n", "48", "--no-report",
         "-o", "reference.acceptance_length=2.5", "--ignore-eos", "--repeats", "1",
         "--device", "cpu", "--threads", "1", "--dtype", "float32"]  # fmt: skip
BEYOND = "acceptance length 2.5 cannot be had at k = 1: a round gives 1 to 2 tokens"


@pytest.mark.model
def test_a_length_that_no_cell_can_reach_is_told_before_anything_is_launched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run.sqlite"
    assert run([*ASKED, "-k", "1", "--out", str(out)]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"mtpbench: nothing can be measured: {BEYOND}"
    assert not out.exists()


@pytest.mark.model
@pytest.mark.parametrize(("batch", "units"), [(1, 3), (3, 1)])
def test_a_run_reaches_the_asked_length_puts_aside_cells_that_cannot_and_rolls_alike_in_both_passes(
    tmp_path: Path, batch: int, units: int
) -> None:
    """Three rows at a time for twelve prompts: rows join while others decode."""
    out = tmp_path / "run.sqlite"
    assert run([*ASKED, "-k", "1,3", "-B", str(batch), "--prompts", str(units), "--out", str(out)]) == 0
    with RunFile.open(out) as file:
        verdict = judge(file)
    short, cell = verdict.cells
    assert (short.status, short.reason) == ("skipped", BEYOND)
    assert cell.synthetic and cell.acceptance is not None
    assert cell.acceptance.length == pytest.approx(2.5, abs=0.5)
    assert cell.acceptance.rounds > 30
    assert not [warning for warning in verdict.warnings if "headline and instrumented" in warning]
