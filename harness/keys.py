"""Options that would carry a secret into a run file: an API key, a token, a password (pure).

A sweep is stored with its run, so that it can be resumed and shared. Keys come from the environment only.
"""

import re
from collections.abc import Iterator
from typing import TypeVar

from results.errors import UsageError
from results.records import Json

_SECRET = re.compile(r"(?:.*_)?(?:api_?key|access_?key|secret(?:_?key)?|password|authorization|credentials?)")
_SHORT = re.compile(r"key|token|(?:.*_)?(?:hf|auth|access|bearer|api)_?token")
_WITHIN = re.compile(r"\w://[^/\s]*@")
"""A URL with a user or a password in it."""

Options = TypeVar("Options", bound=dict[str, dict[str, Json]])


def refuse(options: Options) -> Options:
    """The options of all backends as they are. Raises UsageError, which quotes no value, where one holds a secret."""
    if secret := next(carried(options), None):
        raise UsageError(
            f"{secret}: a key or password given here would be stored with the run; put it into an environment "
            "variable, such as OPENAI_API_KEY (another name: openai.key_env) or HF_TOKEN"
        )
    return options


def carried(options: object, within: str = "") -> Iterator[str]:
    """Names of the options, at any depth, that hold a secret by their name or in a URL; never their values."""
    if isinstance(options, dict):
        for name, value in options.items():
            place = f"{within}.{name}" if within else str(name)
            plain = str(name).strip("-").replace("-", "_").lower()
            if _SECRET.fullmatch(plain) or _SHORT.fullmatch(plain):
                yield place
            else:
                yield from carried(value, place)
    elif isinstance(options, list):
        for value in options:
            yield from carried(value, within)
    elif isinstance(options, str) and _WITHIN.search(options):
        yield within
