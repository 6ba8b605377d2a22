"""What holds for every test, and which backend's conformance ran against its real runtime and which against a stub."""

import signal

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


def pytest_configure() -> None:
    """Tests interrupt processes: where the shell began this one in the background, it and they ignore interrupts."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.stats.get("passed", [])
    told = {value for report in passed for name, value in report.user_properties if name == "ran against"}
    if told:
        terminalreporter.section("backends ran against")
    for line in sorted(told):
        terminalreporter.write_line(line)
