"""The raw tables that a report carries: bounded, safe in a spreadsheet, as complete in CSV as they are said to be."""

import base64
import csv
import io
import re
from dataclasses import replace
from pathlib import Path

from support.runs import run_file
from support.verdicts import HOSTILE, cell, demo, hostile, verdict

from reports import raw
from reports.html import render
from results.verdicts import RunVerdict


def tables(path: Path, run: RunVerdict, *, failures: int = 1, text: str = "died", runs: int = 1) -> dict[str, raw.Raw]:
    with run_file(path, run, failures=failures, text=text) as file:
        return {table.name: table for table in raw.tables(file, run, runs)}


def read(table: raw.Raw) -> list[dict[str, str]]:
    head, _, packed = table.href.partition(",")
    assert head == "data:text/csv;charset=utf-8;base64"
    return list(csv.DictReader(io.StringIO(base64.b64decode(packed).decode("utf-8"), newline="")))


def test_the_csv_of_the_cells_holds_every_figure(tmp_path: Path) -> None:
    found = tables(tmp_path / "my run.sqlite", demo())["cells"]
    assert found.file == "my-run-cells.csv"
    rows = read(found)
    assert len(rows) == found.total == found.held == 12
    one = demo().cells[3]
    assert one.speedup and one.costs and one.acceptance
    assert float(rows[3]["speedup.point"]) == one.speedup.point
    assert float(rows[3]["costs.draft_step_ms"]) == one.costs.draft_step_ms
    assert [float(p) for p in rows[3]["acceptance.per_position"].split()] == [*one.acceptance.per_position]
    assert rows[3]["synthetic"] == "false"
    assert rows[3]["output"] == "untested"
    assert "speedup.per_unit" not in rows[3]


def test_what_is_unknown_is_empty_and_never_0(tmp_path: Path) -> None:
    bare = replace(cell(4), speedup=None, drafter_memory_bytes=None)
    (row,) = read(tables(tmp_path / "run.sqlite", verdict([cell(2), bare]))["cells"])[1:]
    assert row["speedup.point"] == row["drafter_memory_bytes"] == ""


def test_trials_are_shown_in_part_and_said_to_be(tmp_path: Path) -> None:
    found = tables(tmp_path / "run.sqlite", demo(), failures=500, runs=2)["trials"]
    assert (found.total, found.held, len(found.rows)) == (501, 501, 100)
    rows = read(found)
    assert rows[0] | {"failure": "crash", "message": "died", "phase": "headline", "k": "4"} == rows[0]
    assert rows[500]["flags"] == '["foreign-load"]'


def test_rows_of_trials_are_bounded_for_the_whole_report(tmp_path: Path) -> None:
    found = tables(tmp_path / "run.sqlite", demo(), failures=300, runs=raw.TRIALS // 100)["trials"]
    assert (found.total, found.held, len(found.rows)) == (301, 100, 10)
    with run_file(tmp_path / "other.sqlite", demo(), failures=20_100) as file:
        html = render([(file, demo())])
    assert "the first of 20,101: <code>mtpbench export</code> writes all of them" in html
    assert html.count("<tr") < 600
    assert len(html) < 5_000_000


def test_a_strangers_text_is_no_formula_no_markup_and_no_megabyte(tmp_path: Path) -> None:
    attack = '=HYPERLINK("http://x")' + HOSTILE + "m" * 1_000_000
    found = tables(tmp_path / "run.sqlite", hostile(), text=attack)
    (failed, _) = read(found["trials"])
    assert failed["message"].startswith("'=HYPERLINK")
    for table in found.values():
        assert len(table.href) < 100_000
        for row in read(table):
            assert not set("".join(row.values())) & set("\x1b\x07\x00\x9b\u202e\u2066\ud800")


def test_every_download_is_named_and_stands_in_the_page(tmp_path: Path) -> None:
    with run_file(tmp_path / '"><script>.sqlite', demo()) as file:
        html = render([(file, demo())])
    links = re.findall(r'<a download="([^"]*)" href="data:text/csv;charset=utf-8;base64,([A-Za-z0-9+/=]+)">', html)
    assert [name for name, _ in links] == [f"script-{name}.csv" for name in ("cells", "generations", "trials")]
