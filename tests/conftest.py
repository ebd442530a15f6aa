"""For all tests: the real servers, of which there is one each for the whole run; the order of the kinds; how much each
kind ran, and which real servers it ran against.

The kind of a test is the folder it lies in. Cheap kinds come first, so that a simple mistake is told soon.
"""

import os
import shutil
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests import browsers, keycloak, servers, smtp

ROOT = Path(__file__).parent
KINDS = {
    "architecture": "who may know whom",
    "unit": "no I/O",
    "integration": "real servers",
    "acceptance": "the API as its callers see it, on real servers",
    "browser": "the pages in a real Chromium, on real servers",
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


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.PostgresServer]:
    """A real PostgreSQL. A test that kills or stops a server starts its own by `servers.running_postgres`."""
    folder = tmp_path_factory.mktemp("pg")
    with servers.running_postgres(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.NatsServer]:
    """A real NATS with JetStream. A test that kills or stops a server starts its own by `servers.running_nats`."""
    folder = tmp_path_factory.mktemp("nats")
    with servers.running_nats(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.RedisServer]:
    """A real Redis, which a test may kill or stop if it starts it again."""
    if servers.RedisServer.program is None:
        pytest.skip("redis-server, the Debian package, is not installed")
    folder = tmp_path_factory.mktemp("redis")
    with servers.running_redis(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture
def smtp_server() -> Iterator[smtp.SmtpServer]:
    """A real SMTP server, which a test may stop and start, and tell to behave badly."""
    with smtp.running() as server:
        yield server


@pytest.fixture(scope="session")
def keycloak_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[keycloak.KeycloakServer]:
    """A real Keycloak with the realm of `deploy/`. A test that changes the realm leaves it as it was."""
    try:
        installed = keycloak.installed()
    except keycloak.Missing as reason:
        pytest.skip(str(reason))
    folder = tmp_path_factory.mktemp("keycloak")
    with keycloak.running_keycloak(installed, folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
async def chromium_server() -> AsyncIterator[browsers.Chromium]:
    """A real Chromium. Each test opens windows of its own in it."""
    if browsers.PROGRAM is None:
        pytest.skip("chromium, the Debian package, is not installed")
    async with browsers.running_chromium() as chromium:
        yield chromium


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
