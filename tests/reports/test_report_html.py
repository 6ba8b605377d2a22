"""The HTML report as a document; what a browser makes of it is in test_report_browser."""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from support.certificates import divergence, equivalence
from support.runs import run_file
from support.verdicts import (
    ALL,
    HOSTILE,
    broken,
    cell,
    certified,
    demo,
    hostile,
    one_cell,
    refuted,
    run_facts,
    slower,
    troubled,
    verdict,
    verified,
)

from reports.html import render, shares
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
    tmp_path.mkdir(exist_ok=True)
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
    assert {link for link in links if not link.startswith("data:text/csv;")} <= {f"#{own}" for own in ids}
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
    assert len(html) < 1_500_000, "of which the CSV of 3,000 trials, 200 characters of text each"
    assert "the first of 3,000 failed trials" in Outline(html).words


def test_many_settings_are_all_tabled_and_only_some_drawn(tmp_path: Path) -> None:
    many = verdict([cell(1, group, prompt_tokens=64 + group, theory=None, acceptance=None) for group in range(30)])
    outline = Outline(page(tmp_path, many))
    assert "Pictures show the first 12 of 30 settings; the tables hold all of them." in outline.words
    assert "93-token prompts" in outline.words
    assert len(outline.words) < 100_000


def test_many_runs_share_the_pictures_that_one_may_have(tmp_path: Path) -> None:
    html = page(tmp_path, *(one_cell() for _ in range(8)))
    alone = page(tmp_path / "alone", one_cell()).count("<svg")
    assert html.count("<svg") == 4 * alone
    assert Outline(html).words.count("No pictures: the report holds too many runs.") == 4 * 2, "speed and categories"
    assert html.count("-speed-table") == 2 * 8, "the tables hold everything"


@pytest.mark.parametrize(
    ("groups", "drawn"),
    [([30], [12]), ([1, 9], [1, 9]), ([1, 30], [1, 11]), ([5, 5, 5], [4, 4, 4]), ([2] * 20, [1] * 4 + [0] * 16),
     ([0, 1], [0, 1]), ([0], [0])],
)  # fmt: skip
def test_no_run_draws_two_groups_before_all_draw_one(groups: list[int], drawn: list[int]) -> None:
    assert shares(groups) == drawn


def test_the_certificate_is_on_the_first_screen(tmp_path: Path) -> None:
    first = Outline(page(tmp_path, certified())).words.split("Time per output token")[0]
    for said in (
        "Losslessness Output identical to plain decoding in every prompt compared Sampled output not distinguishable",
        "which is no proof of losslessness",
        "Prompts compared 20 in each of 3 cells Divergences none Worst regret 1.9e-06 · tolerance 2.1e-05",
        "Diverged without a drafter again 0 of 20, other batch shape 0 of 20",
        "a bias of 0.080 in total variation towards the likeliest token, 4 times in 5",
        "Controls the target's own draws passed; plain decoding at temperature 1.3 was caught",
    ):
        assert said in first, said


def test_wrong_output_is_labelled_wherever_its_speed_up_shows(tmp_path: Path) -> None:
    html = page(tmp_path, broken())
    rows = re.findall(r"<tr class=.*?</tr>", html, re.DOTALL)
    wrong = [row for row in rows if "2.02×" in row or re.search("1.65×.*biased", row, re.DOTALL)]
    assert len(wrong) >= 4
    assert all(re.search('class="badge (unexplained|biased)"', row) and "faster" not in row for row in wrong)
    first = Outline(html).words.split("Time per output token")[0]
    assert "UNEXPLAINED 1 cell, BIASED 2 cells of 5" in first
    assert "Divergences 2 ties, 5 unexplained" in first


@pytest.mark.parametrize("run", [verified, refuted])
def test_a_run_that_measures_no_speed_shows_none(tmp_path: Path, run: Callable[[], RunVerdict]) -> None:
    html = page(tmp_path, run())
    assert not {"speed", "theory", "trust"} & set(Outline(html).values("id"))
    results = html.split('<section id="reading"')[0].split("<body>")[1]
    for absent in ("peed-up", "A/A", "ranked", "Decision", "not distinguishable from plain", "Waterfall"):
        assert absent not in results, absent


def test_runs_with_and_without_speed_stand_in_one_report(tmp_path: Path) -> None:
    outline = Outline(page(tmp_path, one_cell(), verified()))
    assert {"speed", "lossless", "trust"} <= set(outline.values("id"))
    assert "Output identical to plain decoding in every prompt compared" in outline.words
    assert "No setting can be ranked" not in outline.words


def test_every_divergence_opens_with_its_text_tokens_and_scores(tmp_path: Path) -> None:
    html = page(tmp_path, refuted())
    opened = re.findall(r"<details class=\"divergence.*?</details>", html, re.DOTALL)
    assert len(opened) == 2 + 6, "two at k = 1, six at k = 4"
    assert 'class="badge unexplained"' in opened[0]
    assert 'class="badge tie"' in opened[-1]
    told = Outline(opened[0]).words
    for said in (
        "greedy, k = 4: prompt code-000, position 17 token 42 → token 311, margin 1.75",
        "token 17 of code-000 is 311 instead of 42, a margin of 1.8; the target chooses 42",
        "Both outputs, up to here def greet(name):↵ return",
        'Plain decoding goes on "Hello, " + name↵',
        'Drafted decoding goes on f"Hello, {name}"↵',
        "Category source code",
        "Plain token token 42, logit 14.5000",
        "Drafted token token 311, logit 12.7500",
        "Margin between them 1.75",
        "Tolerance of a tie 0.125",
        "One rounding unit of float32 0.0625",
        "The undrafted target chooses here token 42, the plain one",
        "Worst regret from here on 1.75 at position 17",
    ):
        assert said in told, said


def test_what_a_divergence_lacks_is_said(tmp_path: Path) -> None:
    bare = divergence("unclassified", plain_token=None, plain_text="", before="")
    html = page(tmp_path, verdict([cell(4, equivalence=equivalence(unclassified=1, divergences=(bare,)))]))
    (opened,) = re.findall(r"<details class=\"divergence.*?</details>", html, re.DOTALL)
    told = Outline(opened).words
    for said in ("Plain token the output ends here", "token 311, logit not known", "Margin between them not computed",
                 "The undrafted target chooses here not replayed", "Plain decoding goes on nothing"):  # fmt: skip
        assert said in told, said


def test_texts_of_megabytes_are_cut_with_a_note_and_stay_text(tmp_path: Path) -> None:
    attack = "</pre></details></main><script>1</script>\u202e\x1b[2J"
    huge = divergence("unexplained", before="a" * 3_000_000 + attack, plain_text=attack + "b" * 3_000_000)
    html = page(tmp_path, verdict([cell(4, equivalence=equivalence(unexplained=1, divergences=(huge,)))]))
    outline = Outline(html)
    assert outline.tags.count("script") == 1
    assert outline.words.count("</pre></details></main><script>1</script>") == 2
    assert f"… {3_000_000 + len(attack) - 400:,} characters left out" in outline.words
    assert f"… {3_000_000 + len(attack) - 600:,} characters left out" in outline.words
    assert not set(html) & set("\u202e\x1b")


def test_of_very_many_divergences_the_worst_are_listed(tmp_path: Path) -> None:
    many = tuple(divergence("tie", n, worst_regret=n / 1e4) for n in range(500))
    one = replace(equivalence(ties=20), divergences=(*many, divergence("unexplained", 900, worst_regret=0.0)))
    html = page(tmp_path, verdict([cell(4, equivalence=one)]))
    assert "the first 60 of 501 divergences" in Outline(html).words
    opened = re.findall(r"<details class=\"divergence.*?</summary>", html, re.DOTALL)
    assert len(opened) == 60
    assert "code-900" in opened[0]
    assert "code-499" in opened[1]
    assert len(html) < 400_000
