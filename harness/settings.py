"""What the user has set for every run here, and where mtpbench keeps what it makes: the two folders of a user."""

import os
import tomllib
from difflib import get_close_matches
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from backends import discover
from results.errors import UsageError

SETTINGS = "MTPBENCH_SETTINGS"
"""Environment variable that names another settings file."""


def cache() -> Path:
    """`mtpbench` in the user's cache folder: all of it can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mtpbench"


class Settings(BaseModel):
    """The settings file: TOML."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    interpreters: dict[str, str] = {}
    """Backend -> the Python that hosts it."""


def place() -> Path:
    """`mtpbench/settings.toml` in the user's configuration folder, unless the environment names another."""
    if named := os.environ.get(SETTINGS):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "mtpbench" / "settings.toml"


def read() -> Settings:
    """What the user has set; the defaults where there is no file. Raises UsageError where it makes no sense."""
    path = place()
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if os.environ.get(SETTINGS):
            raise UsageError(f"{path}: no such settings file ({SETTINGS} names it)") from None
        return Settings()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a settings file: {error}") from error
    try:
        found = Settings.model_validate(table)
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise UsageError(f'{path}: {key}: expected [interpreters] with lines such as vllm = "/path/to/python"') from (
            error
        )
    for name, interpreter in found.interpreters.items():
        if name not in (known := discover.names()):
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
            raise UsageError(f"{path}: interpreters: there is no backend {name!r}; {hint}")
        if not os.access(Path(interpreter).expanduser(), os.X_OK):
            raise UsageError(f"{path}: interpreters.{name}: no program at {interpreter}")
    return found
