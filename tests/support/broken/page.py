"""The table of broken engines in docs/method.md. To rewrite it, which takes minutes on two cores:

OMP_NUM_THREADS=1 PYTHONPATH=tests .venv/bin/python -m support.broken.page
"""

from collections.abc import Mapping
from pathlib import Path

from support.broken import catalogue, runs
from support.broken.suite import Counted, measured

from results import checks
from results.sampling import MIN_TOKENS

PAGE = Path(__file__).parents[3] / "docs" / "method.md"
BEGIN, END = "<!-- broken:begin -->", "<!-- broken:end -->"
TITLE = "# How mtpbench knows\n"

CERTIFICATES = ("unexplained", "biased")
"""The certificate's own verdicts."""
CHECKS = (*checks.OF_SPECULATIVE, *checks.OF_PLAIN, *checks.OF_EITHER, checks.prompts_differ)
COLUMNS = (*CERTIFICATES, *(check.__name__ for check in CHECKS))
"""All that may flag an engine, in the order of the table."""


def section(found: Mapping[str, Counted]) -> str:
    """The text and table between the markers."""
    few, many = runs.GREEDY, runs.SAMPLED
    (number,) = {each.runs for each in found.values()}
    assert many.draws is not None
    return f"""\
## Proof that checks can fail

Faults are injected into the real engine (Transformers, float32, on the demo pair), while or just after it decodes. The
real harness measures it and stores a run file; that file is all that the checks see. Every engine was measured in
{number} seeded runs, k = {runs.K}, prompts of {runs.PROMPT_TOKENS} tokens, {runs.NEW_TOKENS} new tokens:

- *greedy*: {few.prompts} prompts a run, of {few.pool}; no two runs take the same ones. The output to a prompt is always
  the same, and a fault that is left to chance strikes it in one of {len(catalogue.CHANCES)} ways: runs differ in what
  they hold.
- *T = 1*: {many.prompts} prompts a run, of {many.pool}, one continuation each; {MIN_TOKENS} tokens tested or more.
  **Runs share draws**: each arm of an engine has {many.pool * many.draws} distinct continuations, {many.draws} of each
  prompt, and every run takes {many.prompts} of them.

So a hundred runs show what a run of this size tells. They are not a hundred independent experiments: that correct draws
are called biased once in a thousand times is the level of the test, and these runs alone could not prove it.

Each cell: how many of {number} runs the check flagged; **bold** is the check named for the fault. *Any*: runs that at
least one check flagged. *Certified*: runs whose output was found lossless, whatever else was found.

{table(found)}

**What it shows.** Wrong tokens are caught by the certificate (`unexplained`, `biased`), however fast they came. An
engine with right tokens that did not do what it says, or counts it wrongly, is certified as lossless, and rightly so:
it is caught by a check of validity, and its figures are marked invalid. Healthy engines pass both. So believe a figure
whose cell is certified *and* valid; a fault that strikes more rarely than these may need more prompts to show. Checks
that no engine of this table sets off are seen to fail on constructed run files (`tests/results/test_validity.py`).
"""


def table(found: Mapping[str, Counted]) -> str:
    """Engines x checks."""
    shown = columns(found)
    head = ["engine", *(f"`{check}`" for check in shown), "any", "certified"]
    lines = [head, ["---", *("---:" for _ in head[1:])], *(row(each, shown) for each in found.values())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def columns(found: Mapping[str, Counted]) -> list[str]:
    """Checks that flagged anything."""
    flagged = {check for each in found.values() for check in each.flagged}
    assert flagged <= {*COLUMNS}, flagged
    return [check for check in COLUMNS if check in flagged]


def row(counted: Counted, shown: list[str]) -> list[str]:
    """One engine; a check that never flagged it is a dot."""
    named, flagged = counted.entry.caught_by, counted.flagged
    cells = [f"**{flagged[c]}**" if c == named else str(flagged[c] or "·") for c in shown]
    return [counted.entry.name, *cells, str(counted.caught), str(counted.certified)]


def committed() -> str:
    """The section as the page has it."""
    _, _, rest = PAGE.read_text("utf-8").partition(BEGIN + "\n")
    text, found, _ = rest.partition(END)
    assert found, f"docs/method.md: nothing between {BEGIN} and {END}"
    return text


def placed(page: str, text: str) -> str:
    """The page with this section between the markers; at its end where it has none yet."""
    if BEGIN not in page:
        page = f"{page.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{text}{END}{after}"


def main() -> None:
    """Measure all engines, and write the section into the page as it is by then."""
    text = section(measured())
    page = PAGE.read_text("utf-8") if PAGE.exists() else TITLE
    PAGE.write_text(placed(page, text), "utf-8")


if __name__ == "__main__":
    main()
