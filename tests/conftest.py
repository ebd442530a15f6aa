"""For all tests: the order of the kinds, how much each kind ran, and which real servers it ran against.

The kind of a test is the folder it lies in. Cheap kinds come first, so that a simple mistake is told soon.
"""

import os
from collections import Counter, defaultdict
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).parent
KINDS = {
    "architecture": "who may know whom",
    "unit": "no I/O",
    "integration": "real servers",
    "acceptance": "the API as its callers see it, on real servers",
    "crash": f"real servers, killed ({os.environ.get('BILLFOLD_KILLS', '20')} kills)",
    "docs": "the examples of the documentation",
}
#: Fixtures of this ending are real servers or whole stacks.
_SERVERS = ("_server", "_stack")

#: How many tests ran against each.
_used: Counter[str] = Counter()

# An example may take as long as a slow machine needs; a failure says how to run it again.
hypothesis.settings.register_profile("billfold", deadline=None, print_blob=True)
hypothesis.settings.load_profile("billfold")


def kind_of(path: Path) -> str:
    """The folder under `tests` that a test lies in."""
    return path.relative_to(ROOT).parts[0]


def pytest_configure(config: pytest.Config) -> None:
    for kind, meaning in KINDS.items():
        config.addinivalue_line("markers", f"{kind}: {meaning}; every test of the folder tests/{kind}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = list(KINDS)
    items.sort(key=lambda item: order.index(kind_of(item.path)))
    for item in items:
        item.add_marker(kind_of(item.path))


def pytest_runtest_call(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function):
        _used.update(name for name in item.fixturenames if name.endswith(_SERVERS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each kind of test, and one for the real servers."""
    outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    seconds: defaultdict[str, float] = defaultdict(float)
    for outcome in ("passed", "failed", "error", "skipped", "xfailed", "xpassed"):
        for report in terminalreporter.getreports(outcome):
            outcomes[_kind_of_node(report.nodeid)][outcome] += 1
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[_kind_of_node(report.nodeid)] += report.duration
    terminalreporter.section("what was run")
    for kind, meaning in KINDS.items():
        if outcomes[kind]:
            counted = ", ".join(f"{number} {outcome}" for outcome, number in outcomes[kind].items())
            terminalreporter.write_line(f"{kind:13} {seconds[kind]:7.1f} s   {counted}   ({meaning})")
    used = ", ".join(f"{name} by {number} tests" for name, number in sorted(_used.items())) or "none"
    terminalreporter.write_line(f"real servers used: {used}")


def _kind_of_node(nodeid: str) -> str:
    return Path(nodeid).parts[1]
