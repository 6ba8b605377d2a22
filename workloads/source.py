"""A text that prompts are made from."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One real text of a workload, before it is cut or joined to length."""

    key: str
    """Stable and unique inside its workload, e.g. `coding/lru-cache`."""
    workload: str
    """The set, data set or file it comes from."""
    category: str
    text: str
    licence: str
    raw: bool = False
    """Never put into a chat template: the text is a document to be continued."""
    bos: bool = True
    """False: the text starts in the middle of a document, so that nothing stands before it, not even <bos>."""
