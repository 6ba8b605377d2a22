"""What `-o mlx.NAME=VALUE` may set. Standard library only, so that a wrong name is told before anything loads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from backends import options
from results.records import Json

KNOWN = ("revision", "assistant_revision", "prefill_step_size")


@dataclass(frozen=True, slots=True)
class Options:
    """The engine's own options; None leaves mlx-vlm's own choice."""

    revision: str | None = None
    """Of the target, where it is a hub id."""
    assistant_revision: str | None = None
    prefill_step_size: int | None = None
    """Prompt tokens per prefill pass."""

    @classmethod
    def of(cls, given: Mapping[str, Json]) -> Self:
        """Raises UsageError for a name that is none, and for a value of another kind."""
        own = options.Options("mlx", given, KNOWN)
        return cls(own.text("revision"), own.text("assistant_revision"), own.whole("prefill_step_size"))
