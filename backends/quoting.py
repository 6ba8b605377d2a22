"""Names and settings of a run file, which may be a stranger's, inside text that somebody will paste and run.

Nothing in them can end a quotation or a line, no control character reaches a terminal, and a report does not tell whose
home folder it was made in.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

EXPANDED = "os.path.expanduser("
PROMPT = "Once upon a time"
"""Of every program that is written here: a deployment has its own."""
LONG = 100
"""Characters; a longer Python call gets a line for each argument."""


def shell(words: Iterable[str], environment: Mapping[str, str] | None = None) -> str:
    """One command for bash or zsh, a line for each option; `environment` goes before it."""
    lines = [*_lines([*words])]
    lead = [f"{name}={word(value)}" for name, value in (environment or {}).items()]
    return " \\\n  ".join([" ".join([*lead, lines[0]]), *lines[1:]])


def word(text: str) -> str:
    """One word of a shell's. The home folder is written `"$HOME"`, which the shell fills in."""
    home = str(Path.home())
    parts = re.split(rf"(?<![\w.~-]){re.escape(home)}(?![\w.-])", text) if len(home) > 1 else [text]
    quoted = (_quoted(part) if part or len(parts) == 1 else "" for part in parts)
    return '"$HOME"'.join(quoted)


class Name(str):
    """A name in a Python program, written as it stands."""


def call(function: str, *positional: object, **named: object) -> str:
    """A Python call, its arguments written by `literal`. Raises ValueError for an argument's name that is none."""
    for name in named:
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no argument's name")
    written = [*map(literal, positional), *(f"{name}={literal(value)}" for name, value in named.items())]
    line = f"{function}({', '.join(written)})"
    return line if len(line) <= LONG else f"{function}(\n    " + ",\n    ".join(written) + ",\n)"


def program(lines: Iterable[str]) -> str:
    """A Python program of these lines, with the import that `literal` needs."""
    text = "\n".join(lines)
    return f"import os\n\n{text}" if EXPANDED in text else text


def literal(value: object) -> str:
    """A Python expression for text, numbers, booleans, None, lists and tables; the home folder by `expanduser`."""
    if isinstance(value, Name):
        return str(value)
    home = Path.home()
    if isinstance(value, str) and Path(value).is_absolute() and len(str(home)) > 1 and Path(value).is_relative_to(home):
        return f"{EXPANDED}{str('~' / Path(value).relative_to(home))!r})"
    return repr(value)


def remark(text: str) -> str:
    """A comment line of a shell's or of Python's."""
    return "# " + "".join(sign if sign.isprintable() else " " for sign in text)


def _lines(words: Sequence[str]) -> Iterator[str]:
    """Words as they share lines: an option with its value."""
    line: list[str] = []
    for each in words:
        if each.startswith("-") and not re.match(r"-\d", each) and line:
            yield " ".join(line)
            line = []
        line.append(word(each))
    yield " ".join(line)


def _quoted(text: str) -> str:
    if text.isprintable():
        return shlex.quote(text)
    return "$'" + "".join(map(_escaped, text)) + "'"


def _escaped(sign: str) -> str:
    if sign in "\\'":
        return "\\" + sign
    if sign.isprintable():
        return sign
    return f"\\x{ord(sign):02x}" if ord(sign) < 0x80 else f"\\U{ord(sign):08x}"
