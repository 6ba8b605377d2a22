"""The HTML report as a document; what a browser makes of it is in test_report_browser."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.runs import run_file
from support.verdicts import ALL, HOSTILE, cell, demo, hostile, one_cell, run_facts, slower, troubled, verdict

from reports.html import render
from results.verdicts import RunVerdict

VOID = {"meta", "link", "br", "input", "img", "hr"}


class Outline(HTMLParser):
    """Checks nesting; collects tags, ids, references and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(html)
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] not in ("style", "script"):
            self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == name]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def page(tmp_path: Path, *runs: RunVerdict, failures: int = 1, text: str = "killed by signal 9") -> str:
    files = []
    for number, run in enumerate(runs):
        files.append((run_file(tmp_path / f"run-{number}.sqlite", run, failures=failures, text=text), run))
    try:
        return render(files)
    finally:
        for file, _ in files:
            file.close()


@pytest.fixture(scope="module")
def of_demo(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page(tmp_path_factory.mktemp("demo"), demo())


@pytest.mark.parametrize("name", [name for name in ALL if name != "six_backends"])
def test_every_variant_is_well_formed_with_unique_ids_and_sound_references(name: str, tmp_path: Path) -> None:
    outline = Outline(page(tmp_path, ALL[name]()))
    ids = outline.values("id")
    assert len(ids) == len(set(ids))
    for reference in ("aria-labelledby", "aria-describedby"):
        assert set(outline.values(reference)) <= set(ids)
    links = {value for tag, key, value in outline.attributes if tag == "a" and key == "href"}
    assert links <= {f"#{own}" for own in ids}
    assert outline.tags.count("h1") == 1


def test_it_needs_nothing_from_anywhere(of_demo: str) -> None:
    outline = Outline(of_demo)
    assert outline.tags.count("script") == 1
    assert outline.tags.count("style") == 1
    assert not outline.values("src")
    assert "url(http" not in of_demo
    assert "@import" not in of_demo
    assert [value for tag, key, value in outline.attributes if tag == "link" and key == "href"] == ["data:,"]


def test_the_policy_allows_only_this_style_and_this_script(of_demo: str) -> None:
    policy = next(value for tag, key, value in Outline(of_demo).attributes if tag == "meta" and "default-src" in value)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", of_demo, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"<[^>]* style=", of_demo)
    assert not re.search(r"<[^>]* on\w+=", of_demo)


def test_the_first_screen_decides_and_says_how_sure_it_is(of_demo: str) -> None:
    first = Outline(of_demo).words.split("Time per output token")[0]
    for said in (
        "Draft 5 tokens a round: 1.90× to 2.04× as fast as plain decoding",
        "1.86–2.22 selection-adjusted interval",
        "widened for having chosen the best of 6",
        "Acceptance length 3.89 3.62–4.16",
        "A/A 0.992–1.011: plain decoding differs from itself by at most 1.1 %",
        "1,344 trials, 0 failed, 24 flagged",
        "Output equivalence untested",
        "All 12 cells valid",
        "per-call dispatch overhead that drafting saves, not from memory bandwidth",
        "AMD EPYC 9B14",
    ):
        assert said in first, said


def test_all_sections_are_there_with_provenance_and_hashes(of_demo: str) -> None:
    words = Outline(of_demo).words
    for said in ("Theory beside measurement", "Where the ideal speed-up went", "Acceptance by category",
                 "How to read this", "versions torch 2.13.0, transformers 5.22.2", "sha256 of target/config.json",
                 "draft_lengths 1, 2, 3, 4, 5, 6", "killed by signal 9", "foreign-load 1",
                 "launch 2: vllm · demo"):  # fmt: skip
        assert said in words, said


def test_every_doubtful_cell_is_labelled_wherever_its_figures_show(tmp_path: Path) -> None:
    html = page(tmp_path, troubled())
    rows = re.findall(r"<tr class=.*?</tr>", html, re.DOTALL)
    doubtful = [row for row in rows if re.search(r'data-v="[23456]"', row.split("</th>")[0]) and "1.65×" not in row]
    assert len(doubtful) >= 8
    assert all('class="badge' in row for row in doubtful)
    assert html.count("SYNTHETIC") > 8
    first = Outline(html).words.split("Time per output token")[0]
    assert (
        "INVALID 1 cell, UNVERIFIED 1 cell, IMPORTED 1 cell, FAILED 1 cell, SKIPPED 1 cell, SYNTHETIC 2 cells of 8"
        in first
    )


def test_several_runs_stand_side_by_side_under_a_comparison(tmp_path: Path) -> None:
    other = replace(slower(), run=run_facts(name="slow", provenance=run_facts()["provenance"] | {"gpus": ["H200"]}))
    words = Outline(page(tmp_path, one_cell(), other)).words
    first = words.split("Time per output token")[0]
    assert "2 runs, one beside the other" in first
    assert "Best setting of every run" in first
    assert "Do not draft" in first
    assert "What differs between the runs" in first
    assert "gpus none H200" in first


def test_runs_of_one_name_are_told_apart_by_their_files(tmp_path: Path) -> None:
    first = Outline(page(tmp_path, one_cell(), one_cell())).words.split("Time per output token")[0]
    assert "run-0" in first
    assert "run-1" in first
    assert "The runs record the same machine, versions and sweep." in first


def test_a_strangers_text_is_shown_and_does_nothing(tmp_path: Path) -> None:
    html = page(tmp_path, hostile(), text=HOSTILE)
    outline = Outline(html)
    assert outline.tags.count("script") == 1
    assert "img" not in outline.tags
    assert "<script>document.title='owned'</script>" in outline.words
    assert "{{ 7*7 }}" in outline.words
    assert not set(html) & set("\x1b\x07\x00\x9b\u202e\u2066\ud800")
    html.encode("utf-8")


def test_a_large_run_gives_a_report_of_limited_size(tmp_path: Path) -> None:
    one = cell(4)
    assert one.speedup is not None
    units = tuple((unit, "code", 1.5 + unit % 97 / 97) for unit in range(50_000))
    large = verdict([replace(one, n_units=50_000, speedup=replace(one.speedup, per_unit=units))])
    html = page(tmp_path, large, failures=3_000, text="x" * 100_000)
    assert len(html) < 300_000
    assert "the first of 3,000 failed trials" in Outline(html).words


def test_many_settings_are_all_tabled_and_only_some_drawn(tmp_path: Path) -> None:
    many = verdict([cell(1, group, prompt_tokens=64 + group, theory=None, acceptance=None) for group in range(30)])
    outline = Outline(page(tmp_path, many))
    assert "Pictures show the first 12 of 30 settings; the tables hold all of them." in outline.words
    assert "93-token prompts" in outline.words
    assert len(outline.words) < 60_000
