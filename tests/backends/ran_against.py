"""Which backend's conformance ran against its real runtime and which against a stub: told at the end of a test run."""

import pytest

TOLD = pytest.StashKey[list[str]]()


def tell(reporter: pytest.TerminalReporter) -> None:
    told = reporter.config.stash.get(TOLD, [])
    if told:
        reporter.section("backends ran against")
    for line in sorted(told):
        reporter.write_line(line)
