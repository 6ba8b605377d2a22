"""A gate's verdict in words, the same in every output. Plain text: each output escapes it for itself."""

from collections.abc import Sequence

from reports.text import NOT_COMPUTED, NOT_REVEALED, clean, count, listed, number, ratio
from results.compare import CellKey
from results.gating.gate import Decision
from results.gating.limits import Criterion, Finding, GateVerdict
from results.gating.settling import Settling

DECISIONS: dict[Decision | None, str] = {
    "pass": "PASS",
    "fail": "FAIL",
    "inconclusive": "INCONCLUSIVE",
    None: "not gated",
}
MEASURED = ("speed-up", "minimum speed-up", "TPOT", "acceptance")
"""Criteria with figures."""
_LIMITS = {
    "speed-up": "speed-up loss",
    "minimum speed-up": "minimum speed-up",
    "TPOT": "slow-down of speculative TPOT",
    "acceptance": "acceptance drop",
}


def cell_name(key: CellKey, number_: int = 0) -> str:
    """`llamacpp demo mtp k = 4, 64-token prompts, batch 4, temperature 0.8, float32 on cpu`."""
    told = [f"{clean(key.backend, 30)} {clean(key.pair, 60)} {clean(key.method, 24)} k = {key.draft_length}"]
    told.append("own prompts" if key.prompt_tokens is None else f"{key.prompt_tokens}-token prompts")
    told.append(count(key.output_tokens, "new token"))
    told += [f"batch {key.batch_size}"] if key.batch_size > 1 else []
    told += [f"temperature {key.temperature:g}"] if key.temperature else []
    told.append(f"{clean(key.dtype, 20)} on {clean(key.device, 40)}")
    return ", ".join(told) + (f" (no. {number_ + 1} of its kind)" if number_ else "")


def short_name(key: CellKey, among: Sequence[CellKey], number_: int = 0) -> str:
    """The same, what all of `among` share left out, but for k."""
    shared = [name for name in ("backend", "pair", "method") if len({getattr(one, name) for one in among}) < 2]
    told = [clean(getattr(key, name), 40) for name in ("backend", "pair", "method") if name not in shared]
    told.append(f"k = {key.draft_length}")
    settings = {
        "prompt_tokens": "own prompts" if key.prompt_tokens is None else f"{key.prompt_tokens}-token prompts",
        "output_tokens": f"{key.output_tokens} new",
        "batch_size": f"batch {key.batch_size}",
        "temperature": f"temperature {key.temperature:g}",
        "dtype": clean(key.dtype, 20),
        "device": clean(key.device, 40),
    }
    told += [text for name, text in settings.items() if len({getattr(one, name) for one in among}) > 1]
    return " ".join(told) + (f" (no. {number_ + 1})" if number_ else "")


def headline(verdict: GateVerdict) -> str:
    """One sentence over all findings."""
    fails, open_ = verdict.count("fail"), verdict.count("inconclusive")
    every = sum(finding.decision is not None for finding in verdict.findings)
    if verdict.decision == "fail":
        rest = f", {open_} undecided" if open_ else ""
        return f"FAIL: {fails} of {count(every, 'check')} beyond the limit{rest}"
    if verdict.decision == "pass":
        return f"PASS: {count(every, 'check')} within the limits"
    return f"INCONCLUSIVE: {open_} of {count(every, 'check')} cannot be told yet, none fails"


def rules(verdict: GateVerdict) -> str:
    """What was laid down before."""
    look = f"look {verdict.look} of {verdict.looks}, " if verdict.looks > 1 else ""
    shared = f", shared by {count(verdict.gated, 'interval')}" if verdict.gated > 1 else ""
    return (
        f"{look}{100 * verdict.level:g} % chance at most to fail a run that is exactly at its limits{shared}; "
        f"{count(len(verdict.baselines), 'baseline run')}"
    )


def apart(verdict: GateVerdict) -> list[str]:
    """Cells that are not gated at all, a line each."""
    new = [f"new: {cell_name(key)}: no baseline has it, so it is not gated" for key in verdict.new]
    return new + [f"not ok in any baseline, so not gated: {cell_name(key)}" for key in verdict.put_aside]


def span(finding: Finding) -> str:
    """`1.93× → 1.89×`, `3.51 ms → 3.62 ms`, `82.1 % → 80.0 %`; the present figure alone where none was before."""
    ends = [finding.now] if finding.criterion == "minimum speed-up" else [finding.baseline, finding.now]
    return " → ".join(_figure(finding, end) for end in ends)


def _figure(finding: Finding, value: float | None) -> str:
    if value is None:
        return NOT_REVEALED if finding.criterion == "acceptance" else NOT_COMPUTED
    if finding.criterion == "TPOT":
        return f"{number(value)} ms"
    return f"{100 * value:.1f} %" if finding.criterion == "acceptance" else ratio(value)


def amount(finding: Finding, value: float | None) -> str:
    """A figure on the scale of the limit: `−1.2 %`, `−0.4 points`, `1.930×`."""
    return NOT_COMPUTED if value is None else _bare(finding, value) + _unit(finding)


def _unit(finding: Finding) -> str:
    return {"minimum speed-up": "×", "acceptance": " points"}.get(finding.criterion, " %")


def _bare(finding: Finding, value: float) -> str:
    """Without its unit. Intervals of two units may end anywhere: beyond any limit (`Limits`) no figure is told."""
    if finding.criterion == "minimum speed-up":
        return f"{value:.3f}" if value < 1000 else "over 1000"
    return _signed(value) if value < 100 else "over +10000"


def _signed(share: float) -> str:
    """In percent: `+1.2`, `−1.2`, `±0.0`."""
    text = f"{100 * share:+.1f}"
    return text.replace("-", "−") if float(text) else "±0.0"


def change(finding: Finding) -> str:
    """The estimate with its interval: `−1.2 % (−2.0 to −0.4 %)`."""
    told = amount(finding, finding.estimate)
    if finding.interval is None:
        return told
    return f"{told} ({_bare(finding, finding.interval.low)} to {amount(finding, finding.interval.high)})"


def limit(finding: Finding) -> str:
    """`−3.0 %`; nothing where there is none."""
    return "" if finding.limit is None else amount(finding, finding.limit)


def explained(finding: Finding) -> str:
    """What was found, by how much, how sure; and where undecided, what would settle it."""
    if finding.criterion not in MEASURED:
        return clean(finding.reason)
    told = f"{_LIMITS[finding.criterion]}: {span(finding)}"
    if finding.criterion != "minimum speed-up" or finding.interval:
        told += f", {change(finding)}" if finding.estimate is not None else ""
    told += f", limit {limit(finding)}" if finding.decision else ""
    if finding.interval and finding.level:
        told += f"; {100 * (1 - 2 * finding.level):.4g} % interval over {count(finding.units or 0, 'unit')}"
        told += f", {finding.basis}" if finding.basis else ""
    if finding.plain_tpot is not None:
        told += f"; the plain arm's own TPOT {_signed(finding.plain_tpot - 1)} %"
    if finding.reason:
        told += f"; {clean(finding.reason)}"
    if finding.settling and not finding.reason:
        told += f"; {settled(finding.settling, finding.criterion)}"
    return told


def alike(findings: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """What is not decided, together where the reason is the same: (why, findings)."""
    found: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        why = clean(finding.reason) or (settled(finding.settling, finding.criterion) if finding.settling else "")
        found.setdefault((finding.criterion, why), []).append(finding)
    return [(why, same) for (_, why), same in found.items()]


def settled(found: Settling, criterion: Criterion) -> str:
    """What would decide it."""
    where = "" if criterion == "minimum speed-up" else " in every run"
    needs = [count(found.prompts, f"further prompt{where}", f"further prompts{where}")] if found.prompts else []
    needs += [count(found.runs, "further baseline run")] if found.runs else []
    if not needs:
        return "no number of prompts or runs would settle it: the truth seems to be at the limit"
    return f"about {' and '.join(needs)} would settle it, if the estimate stays"


def some(names: Sequence[str], most: int = 4) -> str:
    """The first few of many: `a, b and 7 more`."""
    return listed([*names[: most - 1], f"{len(names) - most + 1} more"] if len(names) > most else [*names])
