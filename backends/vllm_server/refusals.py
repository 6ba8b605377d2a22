"""What vLLM's output says about why it ended. Pure.

Its own last lines say little: three processes print the tracebacks of each other's failures, and libraries complain
about how they were left.
"""

import re
from collections.abc import Sequence

_PARSER = re.compile(r"^\S+(?: serve)?: error: (.+)$")
"""argparse: a flag that is none, or a value that it cannot read."""
_VALIDATION = re.compile(r"ValidationError: \d+ validation errors? for (\w+)$")
"""pydantic: a configuration that contradicts itself, its field (or nothing) in the next line."""
_PREFIX = re.compile(r"^\([^)]*\) (?:[A-Z]+ [^\]]*\] ?)?")
"""`(Worker pid=7) ERROR 11-24 18:50:25 [core.py:1510] `."""
_ERROR = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Interrupt)): (.+)$")
_WRAPPERS = ("Engine core initialization failed", "Worker failed with error", "EngineCore encountered an issue")


def refused(lines: Sequence[str]) -> str | None:
    """What its parser or its configuration says against the arguments; None where it ended for another reason."""
    for number, line in enumerate(lines):
        if found := _PARSER.match(line):
            return found[1]
        if found := _VALIDATION.search(line):
            told = " ".join(each.strip() for each in lines[number + 1 : number + 3])
            return f"{found[1]}: {told.partition(' [type=')[0].removeprefix('Value error, ')}"
    return None


def why(lines: Sequence[str]) -> str | None:
    """The refusal, or the first error that does not only pass on another one; None where there is neither."""
    if said := refused(lines):
        return said
    errors = [found for line in lines if (found := _ERROR.match(_PREFIX.sub("", line)))]
    own = [found for found in errors if not found[2].startswith(_WRAPPERS)]
    return f"{(own or errors)[0][1]}: {(own or errors)[0][2]}" if errors else None
