"""The one exception a user ever sees as a plain line (stdlib only; workers import it too)."""


class UsageError(Exception):
    """The input is wrong and nothing was lost: printed as one line, exit code 2.

    The message names the input, its value, what was expected and what to do next; it holds no line break.
    """


class RunFileError(UsageError):
    """A run file that cannot be read: truncated, not ours, of a newer schema, or still being written."""
