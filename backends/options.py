"""A backend's own options (`-o NAME.KEY=VALUE`), read with the message that each mistake deserves."""

import difflib
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from results.errors import UsageError
from results.records import Json


class Options:
    """The options of one backend."""

    def __init__(self, backend: str, given: Mapping[str, Json], known: Collection[str]) -> None:
        """Raises UsageError for an option that is not among `known`; its value is never quoted."""
        self.backend = backend
        self._given = given
        for key in given:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"did you mean {backend}.{near[0]}?" if near else f"it has {', '.join(sorted(known))}"
                raise UsageError(f"{backend} has no option {key!r}: {hint}")

    def __contains__(self, key: str) -> bool:
        return self._given.get(key) is not None

    def text(self, key: str) -> str | None:
        value = self._given.get(key)
        if value is None or (isinstance(value, str) and value):
            return value
        raise self.wrong(key, "a text")

    def whole(self, key: str) -> int | None:
        """A whole number of at least 1."""
        value = self._given.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
            return value
        raise self.wrong(key, "a whole number of at least 1")

    def flag(self, key: str) -> bool:
        value = self._given.get(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self.wrong(key, "true or false")

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of `choices`, of which the first is the default."""
        value = self._given.get(key, choices[0])
        if isinstance(value, str) and value in choices:
            return value
        raise self.wrong(key, " or ".join(choices))

    def address(self, key: str) -> str | None:
        """The URL of a server, without a slash at its end.

        Raises UsageError for what is none, and for one with credentials in it: options are stored with the run.
        """
        value = self.text(key)
        return None if value is None else address(f"{self.backend}.{key}", value)

    def wrong(self, key: str, expected: str) -> UsageError:
        return UsageError(f"{self.backend}.{key}: expected {expected}, not {self._given.get(key)!r}")


def address(where: str, value: str) -> str:
    """`value` as a server's URL, without a slash at its end; `where` names it in errors. Raises UsageError."""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"{where}: a user, password or query in a URL would be stored with the run; keys come from the environment"
        )
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{where}: expected a URL such as http://127.0.0.1:8000")
    return value.rstrip("/")
