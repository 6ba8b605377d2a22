"""A gate's verdict in the terminal: the decision, a line for each check, what is not decided and why."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from reports.gating import words
from reports.terminal import plain_table
from reports.text import clean
from results.gating.gate import Decision
from results.gating.limits import Finding, GateVerdict

_STYLES: dict[Decision | None, str] = {"pass": "green", "fail": "bold red", "inconclusive": "bold yellow", None: "dim"}
_OPEN: tuple[Decision | None, ...] = ("inconclusive", None)


def show(verdict: GateVerdict, console: Console) -> None:
    """Print the verdict of `mtpbench gate`."""
    told = [f"B  gated     {clean(verdict.file)}", *(f"A  baseline  {clean(name)}" for name in verdict.baselines)]
    _print(console, Text("\n".join(told)))
    console.print()
    _print(console, Text(words.headline(verdict), _STYLES[verdict.decision]))
    _print(console, Text(words.rules(verdict), "dim"))
    measured = [finding for finding in verdict.findings if finding.criterion in words.MEASURED]
    if measured:
        console.print(Padding(_table(measured), (1, 0)))
    keys = [finding.cell for finding in verdict.findings]
    for finding in verdict.findings:
        if finding.decision == "fail":
            name = words.cell_name(finding.cell, finding.number)
            _print(console, Text(f"FAIL  {name}: {words.explained(finding)}", _STYLES["fail"]))
    for decision in _OPEN:
        undecided = [finding for finding in verdict.findings if finding.decision == decision]
        for why, same in words.alike(undecided):
            where = [words.short_name(one.cell, keys, one.number) for one in same]
            line = f"{words.DECISIONS[decision]}  {same[0].criterion} at {words.some(where)}: {why}"
            _print(console, Text(line, _STYLES[decision]))
    for line in words.apart(verdict):
        _print(console, Text(line, "dim"))
    for note in verdict.notes:
        _print(console, Text(f"! {clean(note)}"))


def _table(findings: list[Finding]) -> Table:
    made = plain_table()
    made.add_column("cell")
    made.add_column("check")
    for name in ("baseline → now", "change (interval)", "limit"):
        made.add_column(name, justify="right")
    made.add_column("decision")
    keys = [finding.cell for finding in findings]
    for finding in findings:
        style = _STYLES[finding.decision]
        texts = (
            words.short_name(finding.cell, keys, finding.number),
            finding.criterion,
            words.span(finding),
            words.change(finding),
            words.limit(finding),
        )
        decision = Text(words.DECISIONS[finding.decision], style)
        made.add_row(*(Text(text, "" if finding.decision else "dim") for text in texts), decision)
    return made


def _print(console: Console, text: Text) -> None:
    console.print(text, overflow="fold")
