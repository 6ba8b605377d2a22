"""What `-o mlx.NAME=VALUE` may set. Standard library only, so that a wrong name is told before anything loads."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches

from results.errors import UsageError
from results.records import Json


@dataclass(frozen=True, slots=True)
class Options:
    """The engine's own options; None leaves mlx-vlm's own choice."""

    revision: str | None = None
    """Of the target, where it is a hub id."""
    assistant_revision: str | None = None
    prefill_step_size: int | None = None
    """Prompt tokens per prefill pass."""

    @classmethod
    def of(cls, given: Mapping[str, Json]) -> "Options":
        """Raises UsageError for a name that is none, and for a value of another type."""
        names = {field.name: int if "int" in str(field.type) else str for field in fields(cls)}
        for name, value in given.items():
            if name not in names:
                near = get_close_matches(name, names, n=1) or list(names)
                raise UsageError(f"mlx has no option {name!r}; did you mean {', '.join(near)}?")
            if type(value) is not names[name] or value in (0, ""):
                raise UsageError(f"option mlx.{name} takes {names[name].__name__}, not {value!r}")
        return cls(**dict(given))  # type: ignore[arg-type]  # the types were just checked
