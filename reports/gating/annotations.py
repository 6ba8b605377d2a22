"""A gate's verdict as workflow commands, which GitHub shows beside a run and in its pull request.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from reports.gating import words
from results.gating.limits import GateVerdict

MOST = 10
"""Of each kind GitHub shows no more for one step."""


def annotations(verdict: GateVerdict) -> list[str]:
    """`::error …` for each failed check, `::warning …` for each undecided one; the last stands for those left out."""
    lines = []
    for decision, command in (("fail", "error"), ("inconclusive", "warning")):
        found = [finding for finding in verdict.findings if finding.decision == decision]
        kept = found if len(found) <= MOST else found[: MOST - 1]
        for one in kept:
            title = _property(f"mtpbench: {one.criterion}")
            told = f"{words.cell_name(one.cell, one.number)}: {words.explained(one)}"
            lines.append(f"::{command} title={title}::{_data(told)}")
        if len(found) > len(kept):
            lines.append(f"::{command} title=mtpbench::and {len(found) - len(kept)} more")
    return lines


def paused(token: str) -> tuple[str, str]:
    """What stands before and after text in which nothing may be taken for a command. token: nobody can guess it."""
    return f"::stop-commands::{token}", f"::{token}::"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
