"""Which backend's conformance ran against its real runtime and which against a stub: told at the end of a test run."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.stats.get("passed", [])
    told = {value for report in passed for name, value in report.user_properties if name == "ran against"}
    if told:
        terminalreporter.section("backends ran against")
    for line in sorted(told):
        terminalreporter.write_line(line)
