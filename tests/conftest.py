"""For all tests: the real servers, of which there is one each for the whole run; the order of the kinds; how much each
kind ran, and which real servers it ran against.

The kind of a test is the folder it lies in. Cheap kinds come first, so that a simple mistake is told soon. `make test`
has two workers run them side by side, each with servers of its own.
"""

import contextlib
import os
import shutil
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from unittest import mock

import hypothesis
import pytest

from billfold import devservers
from billfold.devnet.ethereum import fetching as anvil
from billfold.platform import redis as platform_redis
from tests import browsers, event_payloads, keycloak, servers, smtp
from tests.servers import devnets, memory, solana

# Tests start programs in a process that speaks gRPC. What gRPC would do in a fork, for those who go on speaking it
# there, ends the fork by a segmentation fault before the program has begun.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
# Each of these programs would compile itself and all of its libraries anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# A shell that runs the tests in the background has them ignore Ctrl-C and SIGQUIT, and so would the programs that they
# start.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]
    from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

S = TypeVar("S")
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
_STACKS_OF_THEIR_OWN = ("crash", "docs")
#: They need a Keycloak, whose start is the dearest of all: one for all of them will do.
_WITH_KEYCLOAK = ("integration/oidc", "browser", "crash/test_topology.py")
#: Minutes each, the longest first: at the end no worker waits for the other that has begun with one of them late.
_LONG = (
    "docs/test_examples.py",
    "docs/test_move_to_another_broker.py",
    "docs/test_money_on_chains.py",
    "docs/test_history_in_cassandra.py",
    "docs/test_run_everything.py",
    "docs/test_search_the_audit.py",
    "docs/test_run_with_kafka.py",
    "docs/test_with_redis.py",
    "docs/test_run_with_rabbitmq.py",
    "docs/test_own_servers.py",
)
#: Fixtures of this ending are real servers or whole stacks.
_SERVERS = ("_server", "_stack")

#: How many tests ran against each.
_used: Counter[str] = Counter()
#: Those that can't be had here, and why.
_skipped: dict[str, str] = {}
#: What else is to be told at the end.
_remarks: list[str] = []

# An example may take as long as a slow machine needs; a failure says how to run it again.
hypothesis.settings.register_profile("billfold", deadline=None, print_blob=True)
hypothesis.settings.load_profile("billfold")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.PostgresServer]:
    """A real PostgreSQL. A test that kills or stops a server starts its own by `servers.running_postgres`."""
    with ExitStack() as stack:
        folder = stack.enter_context(memory.folder("pg") if memory.is_plenty() else _folder(tmp_path_factory, "pg"))
        server = stack.enter_context(servers.running_postgres(folder))
        server.made_for_many(in_memory=memory.has(folder))
        yield server


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.NatsServer]:
    """A real NATS with JetStream. A test that kills or stops a server starts its own by `servers.running_nats`."""
    with _folder(tmp_path_factory, "nats") as folder, servers.running_nats(folder) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.RedisServer]:
    """A real Redis, which a test may kill or stop if it starts it again.

    What asks it in this process is more patient than in a user's: a machine that is busy with tests stands still for
    longer than a Redis is waited for, which would then be given up without being dead.
    """
    with (
        _running("redis", tmp_path_factory, servers.running_redis) as server,
        mock.patch.object(platform_redis, "ANSWER_TIMEOUT_S", 3.0),
    ):
        yield server


@pytest.fixture(scope="session")
def remark() -> Callable[[str], None]:
    """Takes a line that is told at the end of the run."""
    return _remarks.append


@pytest.fixture(scope="session", autouse=True)
def declared_events() -> Iterator[None]:
    """Events have what their schemas say."""
    with event_payloads.checked():
        yield


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.KafkaServer]:
    """A real Kafka, which a test may kill or stop if it starts it again; each uses topics of its own."""
    with _running("kafka", tmp_path_factory, servers.running_kafka) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.RabbitMQServer]:
    """A real RabbitMQ, which a test may kill or stop if it starts it again; each uses queues of its own."""
    with _running("rabbitmq", tmp_path_factory, servers.running_rabbitmq) as server:
        yield server


@pytest.fixture(scope="session")
def cassandra_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.CassandraServer]:
    """A real Cassandra, which a test may kill or stop if it starts it again; each uses keyspaces of its own."""
    with _running("cassandra", tmp_path_factory, servers.running_cassandra) as server:
        yield server


@pytest.fixture(scope="session")
def full_stack() -> None:
    """What `billfold up --profile full` adds can be had here; whoever asks for this starts it."""
    with had("full_stack"):
        for kind in (devservers.Redis, devservers.Cassandra):
            kind.fetch()


@pytest.fixture(scope="session")
def mongo_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.MongoServer]:
    """A stand-in for MongoDB (see `billfold.devservers.mongo`); each test uses databases of its own."""
    with _running("mongo", tmp_path_factory, servers.running_mongo) as server:
        yield server


@pytest.fixture(scope="session")
def opensearch_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.OpenSearchServer]:
    """A real OpenSearch, which a test may kill or stop if it starts it again; each uses indexes of its own."""
    with _running("opensearch", tmp_path_factory, servers.running_opensearch) as server:
        yield server


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3Server]:
    """A real server of the S3 protocol, which a test may kill or stop if it starts it again; each uses buckets of its
    own."""
    with _running("s3", tmp_path_factory, servers.running_s3) as server:
        yield server


@pytest.fixture
def smtp_server() -> Iterator[smtp.SmtpServer]:
    """A real SMTP server, which a test may stop and start, and tell to behave badly."""
    with smtp.running() as server:
        yield server


@pytest.fixture(scope="session")
def keycloak_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[keycloak.KeycloakServer]:
    """A real Keycloak with the realm of `deploy/`. A test that changes the realm leaves it as it was."""
    with (
        had("keycloak_server"),
        _folder(tmp_path_factory, "keycloak") as folder,
        keycloak.running_keycloak(keycloak.installed(), folder) as server,
    ):
        yield server


@pytest.fixture(scope="session")
async def chromium_server() -> AsyncIterator[browsers.Chromium]:
    """A real Chromium. Each test opens windows of its own in it."""
    with had("chromium_server"):
        if browsers.PROGRAM is None:
            raise servers.Missing("chromium, the Debian package, is not installed")
        async with browsers.running_chromium() as chromium:
            yield chromium


@pytest.fixture(scope="session")
def bitcoin_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[devnets.DevnetServer]:
    """The Bitcoin of this machine. A test has addresses of its own, makes its own blocks, and leaves it running."""
    with _folder(tmp_path_factory, "bitcoin") as folder, devnets.running_devnet("bitcoin", folder) as server:
        yield server


@pytest.fixture(scope="session")
def ethereum_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[devnets.DevnetServer]:
    """The Ethereum of this machine. A test has addresses of its own, makes its own blocks, and leaves it running."""
    with had("ethereum_server"):
        try:
            anvil.anvil()
        except anvil.Missing as error:
            raise servers.Missing(error.detail) from error
    with _folder(tmp_path_factory, "ethereum") as folder, devnets.running_devnet("ethereum", folder) as server:
        yield server


@pytest.fixture(scope="session")
def solana_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[solana.SolanaServer]:
    """The Solana of this machine. A test has addresses of its own, makes its own blocks, and leaves it running."""
    with _folder(tmp_path_factory, "solana") as folder, solana.running_devnet(folder) as server:
        yield server


@pytest.fixture(scope="session")
def surfnetd_server() -> Iterator[solana.SurfnetdServer]:
    """A Solana that others have made. It makes blocks of its own accord."""
    with had("surfnetd_server"):
        program = solana.surfnetd()
        with solana.running_surfnetd(program) as server:
            yield server


@pytest.fixture(scope="session")
def stellar_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[devnets.DevnetServer]:
    """The Stellar of this machine. A test has accounts of its own, closes its own ledgers, and leaves it running."""
    with _folder(tmp_path_factory, "stellar") as folder, devnets.running_devnet("stellar", folder) as server:
        yield server


@contextmanager
def had(name: str) -> Iterator[None]:
    """Tests with a server or something else that can't be had are skipped, and the summary says why."""
    try:
        yield
    except servers.Missing as reason:
        _skipped[name] = str(reason)
        pytest.skip(str(reason))


@contextmanager
def _running(
    name: str, factory: pytest.TempPathFactory, running: Callable[[Path], AbstractContextManager[S]]
) -> Iterator[S]:
    """The server of that name for the whole run."""
    with had(f"{name}_server"), _folder(factory, name) as folder, running(folder) as server:
        yield server


@contextmanager
def _folder(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A folder for a server's files, gone afterwards."""
    folder = factory.mktemp(name)
    yield folder
    shutil.rmtree(folder)


def kind_of(path: Path) -> str:
    """The folder under `tests` that a test lies in."""
    return path.relative_to(ROOT).parts[0]


def group_of(path: Path) -> str:
    """What one worker runs as a whole: a folder whose tests share servers, or a file with a stack of its own."""
    parts = path.relative_to(ROOT).parts
    group = "/".join(parts if parts[0] in _STACKS_OF_THEIR_OWN else parts[: min(2, len(parts) - 1)])
    return "keycloak" if group in _WITH_KEYCLOAK else group


def _place_of(group: str) -> int:
    """Its place among its kind; those that have the same stay as they were."""
    return _LONG.index(group) if group in _LONG else len(_LONG)


class _Fixtures:
    """What a fixture for more than one test makes outlasts each of them.

    A plugin, as pytest asks no conftest.py about the fixtures of a session that begins above it.
    """

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        with contextlib.nullcontext() if fixturedef.scope == "function" else servers.outlasting_a_test():
            return (yield)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Fixtures())
    for kind, meaning in KINDS.items():
        config.addinivalue_line("markers", f"{kind}: {meaning}; every test of the folder tests/{kind}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = list(KINDS)
    items.sort(key=lambda item: (order.index(kind_of(item.path)), _place_of(group_of(item.path))))
    for item in items:
        item.add_marker(kind_of(item.path))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, Any, Any]:
    """Databases in memory end with their test: hundreds of them would fill it."""
    server = getattr(item, "funcargs", {}).get("postgres_server")
    try:
        return (yield)
    finally:
        # With the last test the server has ended too.
        if server is not None and nextitem is not None:
            server.test_ended()


def pytest_runtest_call(item: pytest.Item) -> None:
    if isinstance(item, pytest.Function):
        _used.update(name for name in item.fixturenames if name.endswith(_SERVERS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> "LoadScopeScheduling":
    """By groups: the marker `xdist_group` does nothing, as pytest-xdist 3.8 can't name tests of pytest 9.2 anew."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only where there are workers.

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(ROOT.parent / nodeid.partition("::")[0])

    return ByGroup(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: "WorkerController") -> None:
    """A worker says what it ran against, which is told at the end."""
    told = getattr(node, "workeroutput", {})
    _used.update(told.get("used", {}))
    _skipped.update(told.get("skipped", {}))
    _remarks.extend(told.get("remarks", []))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput.update(used=dict(_used), skipped=_skipped, remarks=_remarks)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each kind of test, one for the real servers, and one for each that could not be had."""
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
    for name, reason in sorted(_skipped.items()):
        terminalreporter.write_line(f"real server skipped: {name}, because {reason}")
    for remark in _remarks:
        terminalreporter.write_line(remark)


def _kind_of_node(nodeid: str) -> str:
    return Path(nodeid).parts[1]
