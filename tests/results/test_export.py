"""What is exported can be read back by other tools, does no harm there, and replaces nothing by accident."""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.big_run import write_big_run
from support.samples import GENERATION, MANIFEST, TRIAL, fill
from support.verdicts import demo

from results.errors import UsageError
from results.export import TABLES, export, spreadsheet_safe
from results.records import DraftCounts, PlainStep
from results.store import RunFile, RunWriter

HOSTILE = '=HYPERLINK("http://evil","x"),\r\n+1\t;@SUM(A1)\0 "naïve" 💡 \u202e <b>'


@pytest.fixture
def file(tmp_path: Path) -> Iterator[RunFile]:
    with RunWriter.create(tmp_path / "run.sqlite", MANIFEST) as writer:
        fill(writer, 1)
        revealed = replace(
            GENERATION,
            token_ids=None,
            text=HOSTILE,
            rounds=None,
            counts=DraftCounts(2, 6, None, (2, 1, 0)),
            steps=(PlainStep(50, 60), PlainStep(51, 62)),
            statement={"a": [1, None]},
        )
        writer.add_trial(replace(TRIAL, flags=("foreign-load",)), [(1, revealed)], {"load": float("inf")})
        writer.finish("finished")
    with RunFile.open(tmp_path / "run.sqlite") as opened:
        yield opened


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_csv_is_one_file_per_table(file: RunFile, tmp_path: Path) -> None:
    written = export(file, "csv", tmp_path / "out")
    assert [path.name for path in written] == [f"{name}.csv" for name in TABLES]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in written)
    generations = read_csv(tmp_path / "out" / "generations.csv")
    assert generations[0]["token_ids"] == "[7,11,13,17]"
    assert generations[0]["arrivals"] == "[[100,1],[300,4]]"
    assert generations[0]["steps"] == "" and generations[0]["rounds_revealed"] == "true"
    assert generations[1]["token_ids"] == "" and generations[1]["steps"] == "[[50,60],[51,62]]"
    assert json.loads(generations[1]["count_per_position"]) == [2, 1, 0]
    assert [row["accepted"] for row in read_csv(tmp_path / "out" / "rounds.csv")] == ["2"]
    assert [row["draft_length"] for row in read_csv(tmp_path / "out" / "cells.csv")] == ["", "3"]
    assert {row["key"]: json.loads(row["value"]) for row in read_csv(tmp_path / "out" / "run.csv")}["name"] == "sample"


def test_text_in_csv_is_never_a_formula_and_comes_back_whole(file: RunFile, tmp_path: Path) -> None:
    export(file, "csv", tmp_path / "out")
    text = read_csv(tmp_path / "out" / "generations.csv")[1]["text"]
    assert text == f"'{HOSTILE}"
    assert read_csv(tmp_path / "out" / "prompts.csv")[0]["text"] == "naïve 💡"
    for path in (tmp_path / "out").iterdir():
        for row in read_csv(path):
            assert not any(value.startswith(tuple("=+@\t\r\n")) for value in row.values())


@given(st.text())
def test_what_is_made_safe_for_spreadsheets_can_be_undone(text: str) -> None:
    safe = spreadsheet_safe(text)
    assert safe.removeprefix("'") == text
    assert not safe.startswith(tuple("=+-@\t\r\n＝＋－＠"))


def test_parquet_keeps_types_lists_and_unknowns(file: RunFile, tmp_path: Path) -> None:
    export(file, "parquet", tmp_path / "out")
    generations = pd.read_parquet(tmp_path / "out" / "generations.parquet")
    assert list(generations["token_ids"][0]) == [7, 11, 13, 17] and generations["token_ids"][1] is None
    assert list(generations["arrivals"][0]) == [{"ns": 100, "tokens": 1}, {"ns": 300, "tokens": 4}]
    assert generations["steps"][0] is None
    assert list(generations["steps"][1]) == [{"pass_ns": 50, "total_ns": 60}, {"pass_ns": 51, "total_ns": 62}]
    assert list(generations["rounds_revealed"]) == [True, False]
    assert generations["text"][1] == HOSTILE
    rounds = pd.read_parquet(tmp_path / "out" / "rounds.parquet")
    assert rounds.to_dict("records")[0] == {
        **{"generation_id": 1, "idx": 0, "drafted": 3, "accepted": 2, "emitted": 3},
        **{"draft_ns": 40, "verify_ns": 60, "total_ns": 110},
    }
    assert len(pd.read_parquet(tmp_path / "out" / "telemetry.parquet")) == 2


def test_json_is_one_strict_file_with_the_verdict(file: RunFile, tmp_path: Path) -> None:
    def strict(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    written = export(file, "json", tmp_path / "run.json", verdict=demo())
    content = json.loads(written[0].read_text(encoding="utf-8"), parse_constant=strict)
    assert content["schema"] == 1 and content["state"] == "finished"
    assert content["run"]["name"] == "sample"
    assert content["verdict"]["cells"][0]["status"] == "ok"
    assert content["cells"][1]["draft_length"] == 3 and content["cells"][1]["synthetic"] is False
    assert content["trials"][1]["flags"] == ["foreign-load"]
    assert content["generations"][0]["arrivals"] == [[100, 1], [300, 4]]
    assert content["generations"][1]["text"] == HOSTILE
    assert content["generations"][1]["statement"] == {"a": [1, None]}
    assert [row["value"] for row in content["telemetry"]] == [0.5, None]


def test_an_empty_run_can_be_exported(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run.sqlite", {}) as writer:
        for fmt in ("csv", "parquet"):
            export(writer.file, fmt, tmp_path / fmt)
        export(writer.file, "json", tmp_path / "run.json")
    assert (tmp_path / "csv" / "rounds.csv").read_text().count("\n") == 1
    assert len(pd.read_parquet(tmp_path / "parquet" / "generations.parquet")) == 0
    assert json.loads((tmp_path / "run.json").read_text())["verdict"] is None


def test_many_rows_arrive_in_order(tmp_path: Path) -> None:
    write_big_run(tmp_path / "run.sqlite", units=40, repeats=2)
    with RunFile.open(tmp_path / "run.sqlite") as file:
        export(file, "parquet", tmp_path / "out")
        rounds = pd.read_parquet(tmp_path / "out" / "rounds.parquet")
        generations = pd.read_parquet(tmp_path / "out" / "generations.parquet")
        assert list(map(tuple, rounds.to_numpy()[::997])) == list(file.query("SELECT * FROM round"))[::997]
        for row in (0, 1999, 2000, len(generations) - 1):
            seen = file.generation(int(generations["id"][row]))
            assert tuple(generations["token_ids"][row]) == seen.token_ids
            assert [pair["ns"] for pair in generations["arrivals"][row]] == [a.ns for a in seen.arrivals]


# ------------------------------------------------------------------------------------------------ nothing by accident


@pytest.mark.parametrize("fmt", ["csv", "parquet", "json"])
def test_what_exists_is_replaced_only_when_asked(file: RunFile, tmp_path: Path, fmt: str) -> None:
    out = tmp_path / "out"
    first = export(file, fmt, out)
    first[0].write_text("precious")
    with pytest.raises(UsageError, match=r"exists already: .*--overwrite"):
        export(file, fmt, out)
    assert first[0].read_text() == "precious"
    assert export(file, fmt, out, overwrite=True) == first
    assert first[0].read_bytes() != b"precious"


@pytest.mark.parametrize("fmt", ["csv", "json"])
def test_the_run_file_itself_is_never_replaced(file: RunFile, fmt: str) -> None:
    before = file.path.read_bytes()
    with pytest.raises(UsageError, match="is the run file itself"):
        export(file, fmt, file.path, overwrite=True)
    assert file.path.read_bytes() == before


def test_a_failed_export_leaves_nothing_behind(file: RunFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(part: Path, table: object) -> None:
        part.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("results.export._write_csv", full)
    with pytest.raises(UsageError, match=r"cannot write .*run.csv: No space left"):
        export(file, "csv", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run.sqlite"]


def test_an_impossible_place_or_format_is_one_line(file: RunFile, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown format 'parket'; did you mean parquet\?"):
        export(file, "parket", tmp_path / "out")
    with pytest.raises(UsageError, match=r"cannot write .*No such file"):
        export(file, "csv", tmp_path / "no" / "where")
    with pytest.raises(UsageError, match=r"cannot write .*File exists"):
        export(file, "json", tmp_path / "run.sqlite" / "out.json")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UsageError, match=r"cannot write .*exists"):
        export(file, "csv", tmp_path / "taken")
