"""What a gate says in the terminal, in JUnit XML, Markdown and annotations; a stranger's names are harmless in all."""

import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console
from support.certificates import equivalence
from support.gated import as_run, baselines, observed, without
from support.verdicts import HOSTILE

from reports.gating import words
from reports.gating.annotations import MOST, annotations, paused
from reports.gating.junit import junit
from reports.gating.markdown import MOST_ROWS, code, markdown, prose
from reports.gating.picture import WIDTH, picture
from reports.gating.table import show
from results.gating.limits import GateVerdict, Limits
from results.gating.regression import gate
from results.gating.settling import Settling

GOLDEN = Path(__file__).parent / "golden"
FOUR = (1, 2, 4, 5)


def mixed() -> GateVerdict:
    """A pass, a fail, an undecided one, a missing cell, a new one."""
    there = as_run([observed(k, seed=k, equivalence=equivalence()) for k in FOUR], "runs/before.sqlite")
    here = [
        observed(1, seed=11, equivalence=equivalence()),
        observed(2, seed=12, slowdown=0.1, equivalence=equivalence(ties=1)),
        observed(4, seed=13, slowdown=0.028, noise=0.03, equivalence=equivalence()),
        observed(6, seed=14, equivalence=equivalence()),
    ]
    limits = Limits(equivalence=True, acceptance_drop=0.02, min_speedup=1.5)
    return gate(as_run(here, "runs/now.sqlite"), [there], limits, looks=3, look=2)


def hostile() -> GateVerdict:
    """Every name and reason is an attack."""
    changes: dict[str, Any] = dict.fromkeys(("backend", "pair", "method", "dtype", "device"), HOSTILE)
    there = [observed(k, seed=k, **changes) for k in FOUR]
    here = [without(observed(1, **changes), status="failed", reason=HOSTILE), observed(2, slowdown=0.1, **changes),
            observed(4, noise=0.2, **changes), observed(6, **changes)]  # fmt: skip
    found = gate(as_run(here, HOSTILE), [as_run(there, HOSTILE)], Limits(tpot_asked=True))
    return replace(found, notes=(HOSTILE,))


def terminal(verdict: GateVerdict, width: int = 160) -> str:
    stream = io.StringIO()
    show(verdict, Console(file=stream, width=width, markup=False, highlight=False, emoji=False))
    return stream.getvalue()


@pytest.mark.parametrize(("name", "made"), [("gate.xml", junit), ("gate.md", markdown), ("gate.txt", terminal)])
def test_outputs_are_as_they_were(name: str, made: Any) -> None:
    text = re.sub(r" +$", "", made(mixed()), flags=re.MULTILINE)
    assert text == (GOLDEN / name).read_text("utf-8"), f"if that is meant, write it to {GOLDEN / name}"


def test_an_interval_of_two_units_that_may_end_anywhere_names_no_end() -> None:
    noisy = [as_run([observed(units=2, noise=0.3, seed=seed)]) for seed in (1, 2)]
    told = " ".join(terminal(gate(noisy[0], noisy[1:], Limits(min_speedup=2.0))).split())
    assert re.search(r"\(−100\.0 to over \+10000 %\)", told) and "(1.522 to 7.858×)" in told


def test_the_terminal_names_cell_amount_certainty_and_what_would_settle_it() -> None:
    told = " ".join(terminal(mixed()).split())
    assert "FAIL transformers demo mtp k = 2, 64-token prompts, 96 new tokens, float32 on cpu: speed-up loss:" in told
    assert re.search(r"limit −3\.0 %; 99\.\d+ % interval over 24 units, paired by prompt", told)
    assert re.search(r"INCONCLUSIVE speed-up at k = 4: about \d+ further prompts in every run would settle it", told)
    assert "ok in the baseline, missing now" in told
    assert "new: transformers demo mtp k = 6" in told
    assert "look 2 of 3" in told


def test_junit_has_one_case_for_each_check_of_each_cell() -> None:
    verdict = mixed()
    root = ElementTree.fromstring(junit(verdict))
    cases = root.findall("./testsuite/testcase")
    assert len(cases) == len(verdict.findings) == int(root.attrib["tests"])
    assert len({(case.attrib["classname"], case.attrib["name"]) for case in cases}) == len(cases)
    for tag, decision, counted in (
        ("failure", "fail", "failures"), ("error", "inconclusive", "errors"), ("skipped", None, "skipped"),
    ):  # fmt: skip
        found = [case for case in cases if case.find(tag) is not None]
        assert len(found) == verdict.count(decision) == int(root.attrib[counted]) > 0


def test_a_stranger_s_names_are_harmless_in_junit() -> None:
    text = junit(hostile())
    root = ElementTree.fromstring(text)
    texts = [*root.itertext(), *(value for element in root.iter() for value in element.attrib.values())]
    assert any("<script>" in one for one in texts), "it is shown"
    assert {element.tag for element in root.iter()} == {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "error", "skipped", "system-out",
    } - ({"skipped"} if not hostile().count(None) else set()) - (
        set() if hostile().count("pass") else {"system-out"}
    )  # fmt: skip
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066\ud800]", text)


def test_a_stranger_s_names_are_harmless_in_markdown() -> None:
    text = markdown(hostile())
    outside = re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    assert set(re.findall(r"<(?!!--)[^>]*>", outside)) <= {"<details>", "<summary>", "</summary>", "</details>"}
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066\ud800]", text)
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {7}, "no name adds a column"
    assert text.count("```") == 2
    assert max(map(len, text.splitlines())) < 3000


def test_prose_makes_no_markup_link_mention_or_formula() -> None:
    assert prose("a*b* [x](y) <b> @me http://x www.x.y $e$ `c` #1") == (
        r"a\*b\* \[x\](y) &lt;b&gt; @<!-- -->me http:\//x www<!-- -->.x.y \$e\$ \`c\` \#1"
    )
    assert code("a`b|c\nd") == "`a'b\\|c d`"


def test_a_long_summary_is_cut_and_says_so() -> None:
    found = mixed()
    many = replace(found, findings=found.findings * 40)
    text = markdown(many)
    assert len(text.encode()) < 1_000_000
    assert re.search(r"… and \d+ more\.", text)
    assert sum(line.startswith("| `") for line in text.splitlines()) == MOST_ROWS
    assert text.index("❌") < text.index("✅")


def test_annotations_are_one_line_each_and_end_with_how_many_more() -> None:
    found = mixed()
    lines = annotations(replace(found, findings=found.findings * 10))
    assert len([line for line in lines if line.startswith("::error ")]) == MOST
    assert re.fullmatch(r"::error title=mtpbench::and \d+ more", lines[MOST - 1])
    assert all(line.startswith(("::error title=mtpbench", "::warning title=mtpbench")) for line in lines)
    assert annotations(gate(as_run([observed(seed=7)]), baselines(1), Limits())) == []


def test_a_stranger_s_names_add_no_workflow_command() -> None:
    for line in annotations(hostile()):
        command, data = re.fullmatch(r"::(error|warning) title=[^:]*::(.*)", line).groups()
        assert command and "\n" not in data and "\r" not in data
        assert not re.search(r"%(?!25|0A|0D)", data)
    before, after = paused("abc")
    assert (before, after) == ("::stop-commands::abc", "::abc::")


def test_a_stranger_s_names_are_harmless_in_the_terminal() -> None:
    for width in (60, 200):
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066\ud800]", terminal(hostile(), width))


def test_the_picture_sets_intervals_against_their_limit() -> None:
    found = [f for f in mixed().findings if f.criterion == "speed-up"]
    head, *lines = picture(found)
    assert head == "speed-up, limit −3.0 % at ┊"
    by_decision = {line.split()[-1]: line for line in lines}
    limit = by_decision["PASS"].index("┊")
    assert by_decision["PASS"].index("├") > limit
    assert max(by_decision["FAIL"].rfind("┤"), by_decision["FAIL"].rfind("●")) < limit
    assert by_decision["INCONCLUSIVE"][limit] in "┼●"
    assert all(len(line) < WIDTH + 30 for line in lines)
    assert picture([f for f in mixed().findings if f.criterion == "status"]) == []


def test_what_would_settle_it_in_words() -> None:
    assert words.settled(Settling(None, None), "speed-up").startswith("no number of prompts or runs would")
    told = words.settled(Settling(1200, 2), "speed-up")
    assert told.startswith("about 1,200 further prompts in every run and 2 further baseline runs would settle it")
    assert words.settled(Settling(1, None), "minimum speed-up").startswith("about 1 further prompt would")
