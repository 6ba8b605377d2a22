"""What each version of SGLang can do. Pure."""

import re

TRIED = "0.5.23"
"""Read, and run on a patched CPU build with tiny models; never yet by this adapter on a GPU."""

OLDEST = (0, 5, 0)
MTP_SINCE = (0, 5, 12)
UNIFIED_MTP_SINCE = (0, 5, 13)

METHODS = ("mtp", "eagle3", "draft-model", "prompt-lookup", "native-mtp")
UNIFIED = "gemma4_unified_assistant"
"""Model type of the 12B target's assistant."""


def numbers(version: str) -> tuple[int, int, int]:
    """The first three numbers of a version: 0.5.23.post1 counts as 0.5.23."""
    major, minor, patch = [*re.findall(r"\d+", version), "0", "0", "0"][:3]
    return int(major), int(minor), int(patch)


def methods(version: str | None) -> tuple[str, ...]:
    """Draft methods of a version, the runtime's main one first; all of them where none is installed yet."""
    return METHODS[1:] if version and numbers(version) < MTP_SINCE else METHODS


def refusal(version: str) -> str | None:
    """Why this version cannot be used at all; None where it can."""
    return f"SGLang {version} is older than this adapter knows: 0.5.0" if numbers(version) < OLDEST else None


def method_refusal(version: str, method: str, assistant_type: str | None) -> str | None:
    """Why this version cannot draft by this method with this kind of assistant; None where it can.

    assistant_type: `model_type` of its config.json; None where nobody knows.
    """
    if method not in METHODS:
        return f"SGLang has no draft method {method!r}; it has {', '.join(METHODS)}"
    if method == "mtp" and numbers(version) < MTP_SINCE:
        return f"SGLang {version} knows no Gemma 4 MTP assistants; 0.5.12 and later do"
    if method == "mtp" and assistant_type == UNIFIED and numbers(version) < UNIFIED_MTP_SINCE:
        return f"SGLang {version} does not know the assistant of Gemma 4 12B; 0.5.13 and later do"
    return None


def caveat(version: str) -> str:
    return "" if version == TRIED else f"written for {TRIED}; {version} was not tried"
