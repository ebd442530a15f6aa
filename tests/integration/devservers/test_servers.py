"""The servers for development: a real client speaks to each, what it was told survives a kill, and nothing is left."""

import asyncio
import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import httpx2
import pymongo
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.policies import RoundRobinPolicy

from billfold import devservers
from billfold.audit.adapters.sigv4 import Credentials, signed
from billfold.devservers import wire
from billfold.kernel.clock import SystemClock
from billfold.platform import children, host
from tests import servers

#: A busy machine may take as long to answer.
PATIENCE_S = 60.0
#: The newest that Cassandra 5 and ScyllaDB both speak.
PROTOCOL = 4


@pytest.fixture
def name() -> str:
    return f"t{uuid.uuid4().hex}"


async def test_kafka_keeps_what_it_has_acknowledged(kafka_server: servers.KafkaServer, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_server.url)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka_server.url, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(name, b"told")

    kafka_server.kill()
    kafka_server.start()

    consumer = AIOKafkaConsumer(name, bootstrap_servers=kafka_server.url, auto_offset_reset="earliest")
    async with consumer, asyncio.timeout(PATIENCE_S):
        assert (await consumer.getone()).value == b"told"


async def test_rabbitmq_keeps_what_it_has_confirmed(rabbitmq_server: servers.RabbitMQServer, name: str) -> None:
    async with await aio_pika.connect(rabbitmq_server.url) as connection:
        channel = await connection.channel(publisher_confirms=True)
        await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"told"), routing_key=name)
    async with asyncio.timeout(PATIENCE_S):
        while not rabbitmq_server.server.written():  # noqa: ASYNC110 - a file can't tell.
            await asyncio.sleep(0.05)

    rabbitmq_server.kill()
    rabbitmq_server.start()

    async with await aio_pika.connect(rabbitmq_server.url) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue(name)
        async with asyncio.timeout(PATIENCE_S), queue.iterator() as messages:
            assert (await anext(messages)).body == b"told"


def test_cassandra_keeps_what_it_has_answered(cassandra_server: servers.CassandraServer, name: str) -> None:
    with _session(cassandra_server.server) as session:
        session.execute(
            f"CREATE KEYSPACE {name} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
        )
        session.execute(f"CREATE TABLE {name}.told (number int PRIMARY KEY)")
        session.execute(f"INSERT INTO {name}.told (number) VALUES (7)")

    cassandra_server.kill()
    cassandra_server.start()

    with _session(cassandra_server.server) as session:
        assert session.execute(f"SELECT number FROM {name}.told").one() == (7,)
        assert session.execute("SELECT release_version FROM system.local").one() == (cassandra_server.version,)


async def test_a_cassandra_that_is_killed_while_it_is_made_has_its_password_and_no_other_user_afterwards(
    tmp_path: Path,
) -> None:
    try:
        devservers.Cassandra.fetch()
    except devservers.Missing as reason:
        pytest.skip(str(reason))
    first = devservers.Cassandra(tmp_path / "cassandra", on_line=lambda _: None)
    starting = asyncio.create_task(first.start())
    while not any(first.folder.glob("data/system_auth/roles-*")):
        assert not starting.done(), "it is made without roles"
        await asyncio.sleep(0.01)
    await first.kill()
    # On a slow machine it may just have come up.
    with contextlib.suppress(children.ChildFailed):
        await starting

    again = devservers.Cassandra(tmp_path / "cassandra", on_line=lambda _: None)
    await again.start()
    try:
        assert again.password == first.password
        assert await asyncio.to_thread(_users, again) == {"billfold": True, "cassandra": False}
    finally:
        await again.kill()


def test_opensearch_keeps_what_it_has_answered(opensearch_server: servers.OpenSearchServer, name: str) -> None:
    document = f"{opensearch_server.url}/{name}/_doc/7"
    httpx2.put(document, json={"told": True}, timeout=PATIENCE_S).raise_for_status()

    opensearch_server.kill()
    opensearch_server.start()

    assert httpx2.get(document, timeout=PATIENCE_S).json()["_source"] == {"told": True}
    about = httpx2.get(opensearch_server.url, timeout=PATIENCE_S).json()
    assert about["version"]["number"] == opensearch_server.version


def test_the_stand_in_for_mongodb_keeps_what_it_was_told_when_it_is_stopped(
    mongo_server: servers.MongoServer, name: str
) -> None:
    with pymongo.MongoClient[dict[str, int]](mongo_server.url) as client:
        client[name]["told"].insert_one({"number": 7})

    mongo_server.stop()
    mongo_server.start()

    with pymongo.MongoClient[dict[str, int]](mongo_server.url) as client:
        found = client[name]["told"].find_one({}, {"_id": False})
        assert found == {"number": 7}


async def test_s3proxy_keeps_what_it_has_acknowledged_and_takes_nobody_elses_word(
    s3_server: servers.S3Server, name: str
) -> None:
    path = f"/billfold/{name}"

    async def asked(method: str, body: bytes, *, secret_key: str) -> httpx2.Response:
        headers = signed(
            Credentials(access_key=s3_server.server.access_key, secret_key=secret_key, region="us-east-1"),
            method=method,
            path=path,
            headers={"host": f"127.0.0.1:{s3_server.port}"},
            body=body,
            at=SystemClock().now(),
        )
        async with httpx2.AsyncClient(base_url=s3_server.server.endpoint, timeout=PATIENCE_S) as client:
            return await client.request(method, path, headers=headers, content=body)

    assert (await asked("PUT", b"forged", secret_key="not the one")).status_code == 403
    (await asked("PUT", b"told", secret_key=s3_server.server.secret_key)).raise_for_status()

    s3_server.kill()
    s3_server.start()

    assert (await asked("GET", b"", secret_key=s3_server.server.secret_key)).content == b"told"


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
async def test_nothing_of_a_server_is_left_when_it_was_stopped(kind: str, tmp_path: Path) -> None:
    try:
        devservers.KINDS[kind].fetch()
    except devservers.Missing as reason:
        pytest.skip(str(reason))
    server = devservers.KINDS[kind](tmp_path / kind, on_line=lambda _: None)
    await server.start()
    assert await getattr(wire, kind)(server.port)

    await server.stop()

    assert not await getattr(wire, kind)(server.port)
    locks = list((tmp_path / kind).glob("*.lock"))
    assert locks
    for lock in locks:
        # Whatever the server had started would hold it.
        assert children.try_lock(lock) is not None, f"{lock.name} is held by {children.holder(lock)}"


@pytest.mark.parametrize("kind", devservers.KINDS)
async def test_what_does_not_answer_is_not_ready(kind: str) -> None:
    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 4)
        writer.close()

    assert not await getattr(wire, kind)(host.free_port())
    async with await asyncio.start_server(silent, "127.0.0.1", 0) as other:
        assert not await getattr(wire, kind)(other.sockets[0].getsockname()[1])


@pytest.mark.parametrize("kind", devservers.KINDS.values(), ids=devservers.KINDS)
def test_what_can_not_be_had_says_why_in_one_line(
    kind: type[devservers.DevServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(devservers.Missing, match=r"\(?the Debian package .*, which is not installed$"):
        kind.fetch()


def test_without_maven_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = shutil.which("java")
    if java is None:
        pytest.skip("there is no Java")
    (tmp_path / "java").symlink_to(java)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    with pytest.raises(devservers.Missing, match=r"Kafka .* is fetched by Maven"):
        devservers.Kafka.fetch()

    assert not list((tmp_path / "cache").rglob("*.jar"))


@contextlib.contextmanager
def _session(server: devservers.Cassandra) -> Iterator[Session]:
    profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy(), request_timeout=PATIENCE_S)
    with Cluster(
        ["127.0.0.1"],
        port=server.port,
        auth_provider=PlainTextAuthProvider(server.user, server.password),
        connect_timeout=PATIENCE_S,
        protocol_version=PROTOCOL,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
    ) as cluster:
        yield cluster.connect()


def _users(server: devservers.Cassandra) -> dict[str, bool]:
    """Who is known there, and whether they may log in."""
    with _session(server) as session:
        return dict(session.execute("SELECT role, can_login FROM system_auth.roles"))
