"""Files of claims: what is none is refused in one line that says which claim and which field."""

import json
from pathlib import Path

import pytest

from mtpbench.cli import run as mtpbench
from results.errors import UsageError
from results.statements.published import read_claims


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "Invalid JSON"),
        ('{"claims": []}', "claims: Tuple should have at least 1 item"),
        ('{"claims": [{"id": "a", "source": "b", "words": "c", "statements": [{}]}]}', "expected low, high or both"),
        ('{"claims": [{"id": "a", "source": "b", "words": "c", "statements": [{"low": 2, "high": 1}]}]}', "above high"),
        (
            '{"claims": [{"id": "a", "source": "b", "words": "c", "a\\u001b": 1, "statements": [{"low": 1}]}]}',
            "x1b",
        ),
    ],
)
def test_a_file_that_holds_no_claims_is_one_clear_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "own.json"
    path.write_text(text)
    with pytest.raises(UsageError) as raised:
        read_claims(path)
    assert expected in str(raised.value) and str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"batch": [4, 1]}, "batch: expected the smallest and the largest"),
        ({"draft_length": 0}, "draft_length: expected the smallest and the largest"),
        ({"statements": [{"low": 1, "draft_length": [8, 4]}]}, "statements.0.draft_length: expected the smallest"),
        ({"statements": [{"low": -5}]}, "statements.0.low: Input should be greater than 0"),
        ({"statements": [{"high": 0}]}, "statements.0.high: Input should be greater than 0"),
        ({"statements": [{"at_most": -1}]}, "statements.0.at_most: Input should be greater than 0"),
    ],
)
def test_what_nothing_measured_can_meet_is_refused_with_claim_and_field(
    tmp_path: Path, part: dict[str, object], place: str
) -> None:
    path = tmp_path / "own.json"
    one = {"id": "mine", "source": "someone", "words": "so much", "statements": [{"low": 1}]}
    path.write_text(json.dumps({"claims": [one | {"id": "other"}, one | part]}))
    with pytest.raises(UsageError) as raised:
        read_claims(path)
    assert f"claim mine, {place}" in str(raised.value) and str(raised.value).isprintable()


def test_two_claims_of_one_id_and_no_file_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.json"
    one = {"id": "one", "source": "someone", "words": "so much", "statements": [{"low": 1}]}
    path.write_text(json.dumps({"claims": [one, one]}))
    with pytest.raises(UsageError, match="two claims have the id 'one'"):
        read_claims(path)
    with pytest.raises(UsageError, match="cannot read the claims"):
        read_claims(tmp_path / "none.json")


def test_the_command_refuses_a_bad_claim_file_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.json").write_text("[]")
    assert mtpbench(["claims", "run.sqlite", "--claim", str(tmp_path / "own.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
