"""What stands round a prompt's text: chat template, thinking mode, <bos>."""

from collections.abc import Sequence
from dataclasses import dataclass

from results.errors import UsageError
from results.records import Pair
from workloads.pairs import PAIRS
from workloads.source import Source


@dataclass(frozen=True, slots=True)
class Framing:
    """The arguments of `Session.encode` that hold for a whole run."""

    chat: bool
    """The target's chat template is applied."""
    thinking: bool
    """The template's thinking mode is asked for."""


def framing(sources: Sequence[Source], pair: Pair, *, chat_template: bool, raw: bool, thinking: bool) -> Framing:
    """How these sources are put before this pair's target.

    chat_template: the target has one. raw and thinking: what the user asked for. Sources that are documents to be
    continued are raw by themselves. Raises UsageError where the wishes contradict each other, or where a text without
    <bos> meets a target that cannot do without it.
    """
    documents = [source for source in sources if source.raw]
    if documents and len(documents) < len(sources):
        raise UsageError(f"workload {documents[0].workload} is raw text, others are chat: run them one after the other")
    published = {entry.target: entry.name for entry in PAIRS.values() if not entry.embedded}
    bare = next((source for source in sources if not source.bos), None)
    if bare is not None and pair.target in published:
        raise UsageError(
            f"workload {bare.workload} leaves out <bos>, which {published[pair.target]} needs: "
            "choose another workload, e.g. mixed"
        )
    chat = chat_template and not raw and not documents
    if thinking and not chat:
        raise UsageError("thinking is a mode of the chat template, which is not applied here: leave one of them out")
    return Framing(chat=chat, thinking=thinking)
