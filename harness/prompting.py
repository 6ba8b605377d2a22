"""Prompts of a run: the texts that the sweep names, and each group's units, cut to length by the target itself."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain, cycle, islice, zip_longest

from backends.protocol import Encode
from harness.fleet import Running
from harness.plan import Group, units_of
from harness.sweep import Sweep
from results.errors import UsageError
from results.records import Encoded, Json, Prompt
from workloads.prompts import Source, fit, framing, load

Unit = tuple[Prompt, ...]
"""The prompts of one call: as many as the batch has rows."""


def rows_of(units: Sequence[Unit], unit: int, count: int) -> Unit:
    """The prompts of a call on this unit: its own, and those of the units after it where the batch has more rows."""
    rows = chain.from_iterable(islice(cycle(units), unit, None))
    return tuple(islice(rows, count))


def texts(sweep: Sweep) -> list[Source]:
    """The texts of all workloads of the sweep, taken in turn. Raises UsageError."""
    wanted = sweep.categories or None
    found = [load(name, categories=wanted, seed=sweep.seed) for name in sweep.workloads]
    return [text for text in chain.from_iterable(zip_longest(*found)) if text is not None]


def describe(sources: Sequence[Source], sweep: Sweep) -> dict[str, Json]:
    """The choice of prompts for the manifest.

    A chat template is applied where `raw` is false and the launch's facts say that the target has one.
    """
    return {
        "names": [*sweep.workloads],
        "licences": [*sorted({source.licence for source in sources})],
        "categories": dict(sorted(Counter(source.category for source in sources).items())),
        "without_bos": sum(not source.bos for source in sources),
        "raw": sweep.raw or all(source.raw for source in sources),
        "thinking": sweep.thinking,
    }


def units(group: Group, running: Running, sources: Sequence[Source], sweep: Sweep) -> list[Unit]:
    """The units of a group, as its engine tokenizes; as text where the runtime takes no tokens, of the same length.

    Raises UsageError where the workload is too small or a prompt does not fit into the target's context.
    """
    rows, facts = group.rows, running.facts
    framed = framing(sources, group.pair, chat_template=facts.chat_template, raw=sweep.raw, thinking=sweep.thinking)

    def encode(batch: list[str]) -> list[Encoded]:
        ask = Encode(tuple(batch), chat=framed.chat, thinking=framed.thinking)
        return [*running.worker.ask(ask, sweep.trial_timeout)]

    count = units_of(sweep, group, len(sources)) * rows
    longest = None if facts.context_limit is None else facts.context_limit - sweep.output_tokens
    if longest is not None and longest < 1:
        raise UsageError(
            f"-n {sweep.output_tokens}: too long, the context of {group.pair.name} holds {facts.context_limit} tokens"
        )
    length, as_text = group.cell.prompt_tokens, not group.token_ids
    shown = encode if group.token_ids or length is not None else None  # cells without tokens at all have no length
    prompts = fit(sources, shown, length, count, longest=longest, as_text=as_text)
    return [tuple(prompts[start : start + rows]) for start in range(0, len(prompts), rows)]
