"""The console that every command prints to: plain text in, no markup, no surprises in a pipe."""

import os
import sys

from rich import box
from rich.console import Console
from rich.table import Table

_PIPE_WIDTH = 160
"""Columns where nobody says how wide the output is: a log file or a pipe."""


def console(*, stderr: bool = False) -> Console:
    """A console on standard output, or on standard error for what is no result."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPE_WIDTH
    made = Console(file=stream, width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)
    if not made.encoding.startswith("utf") and hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")  # a terminal that lacks × shall show ?, not a traceback
    return made


def plain_table(*names: str) -> Table:
    """A table in the one style of all commands. names: of its first columns, whose texts fold."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for name in names:
        made.add_column(name, overflow="fold")
    return made
