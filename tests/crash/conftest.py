"""The end of a run of crash tests says what it did."""

import pytest

from tests.crash.tally import tally


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not (tally.kills or tally.found):
        return
    terminalreporter.section("what was crashed")
    for line in tally.summary():
        terminalreporter.write_line(line)
