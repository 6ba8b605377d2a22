"""A gate's verdict as Markdown, for a step summary or a comment: the decision, what is wrong, a table, a picture.

Names and reasons come from run files, maybe a stranger's. Names stand in code spans, where nothing is interpreted;
prose is escaped so that it makes no markup, link, mention or HTML.
"""

import html
import re

from reports.gating import words
from reports.gating.picture import picture
from reports.text import clean
from results.gating.gate import Decision
from results.gating.limits import Finding, GateVerdict

MOST_ROWS = 150
"""Rows of the table: a step summary may have 1 MB."""
_MARKS: dict[Decision | None, str] = {"pass": "✅ pass", "fail": "❌ fail", "inconclusive": "⚠️ inconclusive", None: "–"}
_ORDER: tuple[Decision | None, ...] = ("fail", "inconclusive", "pass", None)


def markdown(verdict: GateVerdict) -> str:
    """The whole summary."""
    found = sorted(verdict.findings, key=lambda one: _ORDER.index(one.decision))
    lines = [f"## mtpbench gate: {words.headline(verdict)}", ""]
    lines += [f"{code(verdict.file)} (B) against {', '.join(code(name) for name in verdict.baselines)} (A)", ""]
    lines += [prose(words.rules(verdict).capitalize()) + ".", ""]
    told = [finding for finding in found if finding.decision in ("fail", "inconclusive")]
    lines += [_line(finding) for finding in told[:MOST_ROWS]] + ([""] if told else [])
    measured = [finding for finding in found if finding.criterion in words.MEASURED]
    lines += [*_table(measured[:MOST_ROWS]), ""] if measured else []
    if len(measured) > MOST_ROWS:
        lines += [f"… and {len(measured) - MOST_ROWS} more.", ""]
    drawn = picture(measured[:MOST_ROWS])
    lines += ["```text", *(line.replace("`", "'") for line in drawn), "```", ""] if drawn else []
    notes = [*words.apart(verdict), *verdict.notes]
    if notes:
        lines += ["<details><summary>What else differs</summary>", ""]
        lines += [*(f"- {prose(clean(note))}" for note in notes[:MOST_ROWS]), "", "</details>", ""]
    return "\n".join(lines)


def code(text: str) -> str:
    """A code span, also inside a table: nothing in it is interpreted."""
    return "`" + clean(text).replace("`", "'").replace("|", "\\|") + "`"


def prose(text: str) -> str:
    """Text that means what it says: no markup, HTML, link, mention or formula."""
    escaped = re.sub(r"([\\`*_\[\]#|~$])", r"\\\1", html.escape(text, quote=False))
    return re.sub(r"(?i)\bwww\.", "www<!-- -->.", escaped.replace("://", ":\\//")).replace("@", "@<!-- -->")


def _line(finding: Finding) -> str:
    name = words.cell_name(finding.cell, finding.number)
    return f"- {_MARKS[finding.decision]}: {code(name)} {prose(words.explained(finding))}"


def _table(findings: list[Finding]) -> list[str]:
    keys = [finding.cell for finding in findings]
    lines = ["| cell | check | baseline → now | change (interval) | limit | decision |", "|---|---|--:|--:|--:|---|"]
    for finding in findings:
        name = code(words.short_name(finding.cell, keys, finding.number))
        texts = (finding.criterion, words.span(finding), words.change(finding), words.limit(finding))
        lines.append(f"| {name} | {' | '.join(texts)} | {_MARKS[finding.decision]} |")
    return lines
