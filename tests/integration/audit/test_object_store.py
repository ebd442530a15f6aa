"""Signed heads are put into a bucket of a real server of the S3 protocol, and none there is ever overwritten."""

from __future__ import annotations

import asyncio
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx2
import msgspec
import pytest
import structlog
from prometheus_client import REGISTRY

from billfold.app import settings
from billfold.app.migrate import AUDIT_SETS
from billfold.app.supervisor import diagnosis_servers
from billfold.audit import Audit, Place, errors, object_store, workers
from billfold.audit.service.verification import verify
from billfold.platform import host
from billfold.platform.postgres.database import Database
from tests import certificates, facades, master_keys, servers
from tests import workers as processes
from tests.integration.audit import support
from tests.integration.audit.test_publishing import sealed


class Bucket:
    """A bucket of a test's own, and what is in it."""

    def __init__(self, server: servers.S3Server) -> None:
        self.server = server.server
        self.name = f"b{uuid.uuid4().hex}"
        self.folder = host.private_folder(self.server.buckets / self.name)

    def place(self, **other: str) -> Place:
        given = {
            "endpoint": self.server.endpoint,
            "bucket": self.name,
            "prefix": "audit/heads/",
            "region": "eu-central-1",
            "access_key": self.server.access_key,
            "secret_key": self.server.secret_key,
        }
        return object_store(**given | other, tls_ca=None)

    def heads(self) -> dict[str, str]:
        """What lies in it, by name, in the order of the names."""
        return {str(file.relative_to(self.folder)): file.read_text() for file in sorted(self.folder.rglob("*.txt"))}


@pytest.fixture
def bucket(s3_server: servers.S3Server) -> Bucket:
    return Bucket(s3_server)


def audited(database: Database, place: Place) -> Audit:
    return Audit(database=database, envelope=facades.ENVELOPE, places=[place])


async def test_every_head_is_an_object_in_order_and_an_export_is_checked_with_them(
    database: Database, bucket: Bucket
) -> None:
    place = bucket.place()
    audit = audited(database, place)
    made = await sealed(audit, 1, 3, 300)
    assert await audit.publishing.publish(place) == 3
    assert await audit.publishing.publish(place) == 0
    assert list(bucket.heads()) == [f"audit/heads/{size:018}.txt" for size in (1, 3, 300)]
    assert list(bucket.heads().values()) == made
    kept = "\n".join(bucket.heads().values())
    found = verify(await support.export(audit), keys=await audit.sealing.public_keys(), heads=kept)
    assert not found.faults
    assert found.records == 300


async def test_the_same_head_again_changes_nothing(database: Database, bucket: Bucket) -> None:
    place = bucket.place()
    (made,) = await sealed(audited(database, place), 1)
    await place.publish(made)
    (file,) = bucket.folder.rglob("*.txt")
    before = file.stat()
    await place.publish(made)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


async def test_two_workers_at_the_same_moment_put_it_once(database: Database, bucket: Bucket) -> None:
    place = bucket.place()
    (made,) = await sealed(audited(database, place), 1)
    await asyncio.gather(*(place.publish(made) for _ in range(8)))
    assert list(bucket.heads().values()) == [made]


async def test_a_store_that_was_away_gets_what_it_has_missed(
    database: Database, bucket: Bucket, s3_server: servers.S3Server
) -> None:
    place = bucket.place()
    audit = audited(database, place)
    made = await sealed(audit, 1)
    assert await audit.publishing.publish(place) == 1
    s3_server.kill()
    try:
        made = await sealed(audit, *range(1, 6))
        with pytest.raises(errors.PublishingFailed, match="does not answer: ConnectError"):
            await audit.publishing.publish(place)
    finally:
        s3_server.start()
    assert await audit.publishing.publish(place) == 4
    assert list(bucket.heads().values()) == made


async def test_a_store_that_accepts_and_says_nothing_is_given_up_on_and_told_again(
    database: Database, bucket: Bucket, s3_server: servers.S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("billfold.audit.adapters.object_store.TIMEOUT_S", 0.5)
    place = bucket.place()
    audit = audited(database, place)
    made = await sealed(audit, 1)
    s3_server.hang()
    try:
        with pytest.raises(errors.PublishingFailed, match=r"did not answer within|ReadTimeout"):
            await audit.publishing.publish(place)
    finally:
        s3_server.go_on()
    monkeypatch.undo()
    assert await audit.publishing.publish(place) == 1
    assert list(bucket.heads().values()) == made


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"secret_key": "a-secret-that-is-wrong"}, "403 SignatureDoesNotMatch"),
        ({"access_key": "nobody-that-is-known"}, "403 InvalidAccessKeyId"),
        ({"bucket": "there-is-no-such"}, "404 NoSuchBucket"),
    ],
)
async def test_what_is_wrong_is_said_and_no_secret_is(
    database: Database, bucket: Bucket, wrong: dict[str, str], said: str
) -> None:
    place = bucket.place(**wrong)
    audit = audited(database, place)
    await sealed(audit, 1)
    with pytest.raises(errors.PublishingFailed, match=said) as refused:
        await audit.publishing.publish(place)
    shown = f"{refused.value!r} {refused.value.detail} {place.name} {place!r} {vars(place)!r}"
    for secret in (bucket.server.secret_key, *(wrong[name] for name in wrong if name.endswith("_key"))):
        assert secret not in shown
    assert not bucket.heads()


async def test_a_worker_puts_what_it_has_sealed_where_its_settings_say(
    kept: servers.TestDatabase,
    core: servers.TestDatabase,
    recorded: Audit,
    nats_server: servers.NatsServer,
    bucket: Bucket,
) -> None:
    await recorded.recording.add(support.facts(1))
    store = {"endpoint": bucket.server.endpoint, "bucket": bucket.name, "access_key": bucket.server.access_key}
    given = {"dsn": kept.app_dsn, "seal_seconds": "1"} | {f"publish_s3.{name}": value for name, value in store.items()}
    more = {settings.variable(f"audit.{name}"): value for name, value in given.items()}
    more["BILLFOLD_AUDIT__PUBLISH_S3__SECRET_KEY"] = bucket.server.secret_key
    async with (
        processes.running_worker(core, nats_server, keys=master_keys.shared(), more=more) as process,
        asyncio.timeout(support.ARRIVES_S),
    ):
        while not bucket.heads():
            assert process.returncode is None
            await asyncio.sleep(0.05)
    known = [head.note for head in (await recorded.reading.heads()).items]
    assert set(bucket.heads().values()) <= set(known)


@pytest.fixture
async def anew(postgres_server: servers.PostgresServer) -> AsyncIterator[Audit]:
    """Another history, sealed by the same keys as well as it can be."""
    database = await Database.connect(postgres_server.create_database(AUDIT_SETS).app_dsn, name="anew")
    yield Audit(database=database, envelope=facades.ENVELOPE)
    await database.close()


async def test_another_history_is_refused_loudly_and_leaves_the_first_one_as_it_is(
    database: Database, bucket: Bucket, anew: Audit
) -> None:
    place = bucket.place()
    (first,) = await sealed(anew, 2)
    await place.publish(first)
    audit = audited(database, place)
    await sealed(audit, 1, 2, 3)
    with structlog.testing.capture_logs() as logs, pytest.raises(errors.HeadDiffers, match="another signed head"):
        async with asyncio.timeout(support.ARRIVES_S):
            await workers.publish(audit, place)
    (told,) = logs
    assert told["log_level"] == "error"
    assert f"{bucket.name}/audit/heads/000000000000000002.txt" in told["reason"]
    assert REGISTRY.get_sample_value("billfold_audit_head_differs", {"place": place.name}) == 1
    assert bucket.heads()["audit/heads/000000000000000002.txt"] == first
    assert len(bucket.heads()) == 2, "what comes after it is not told either"


async def test_whoever_comes_between_the_look_and_the_put_is_not_overwritten(
    database: Database, bucket: Bucket, anew: Audit, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = bucket.place()
    (first,) = await sealed(anew, 2)
    (second,) = await sealed(audited(database, place), 2)
    stream = httpx2.AsyncClient.stream

    def late(self: httpx2.AsyncClient, method: str, *args: object, **kwargs: object) -> object:
        if method == "PUT":
            file = bucket.folder / "audit/heads/000000000000000002.txt"
            file.parent.mkdir(parents=True)
            file.write_text(first)
        return stream(self, method, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(httpx2.AsyncClient, "stream", late)
    with pytest.raises(errors.HeadDiffers):
        await place.publish(second)
    assert list(bucket.heads().values()) == [first]


def settings_of(bucket: Bucket, wrong: dict[str, str]) -> settings.AuditObjectStore:
    """As the doctor has them."""
    given = {"endpoint": bucket.server.endpoint, "bucket": bucket.name, "prefix": "audit/heads/"}
    given |= {"access_key": bucket.server.access_key, "secret_key": bucket.server.secret_key} | wrong
    return msgspec.convert(given, settings.AuditObjectStore)


async def test_the_doctor_says_what_can_be_known_of_a_bucket_and_puts_nothing_there(bucket: Bucket) -> None:
    (found,) = [finding async for finding in diagnosis_servers.audit_bucket(settings_of(bucket, {}))]
    assert (found.check, found.state, found.advice) == ("audit bucket", "ok", "")
    assert "answers and takes the keys; whether they may put heads there shows with the next head" in found.found
    assert f"{bucket.name}/audit/heads/" in found.found
    assert not list(bucket.folder.rglob("*.*"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"secret_key": "a-secret-that-is-wrong"}, "403 SignatureDoesNotMatch"),
        ({"access_key": "nobody-that-is-known"}, "403 InvalidAccessKeyId"),
        ({"bucket": "there-is-no-such"}, "404 NoSuchBucket"),
        ({"endpoint": "http://127.0.0.1:9"}, "does not answer: ConnectError"),
    ],
)
async def test_the_doctor_warns_of_a_bucket_that_would_take_no_head(
    bucket: Bucket, wrong: dict[str, str], said: str
) -> None:
    (found,) = [finding async for finding in diagnosis_servers.audit_bucket(settings_of(bucket, wrong))]
    assert (found.check, found.state) == ("audit bucket", "warn")
    assert said in found.found
    assert "audit.publish_s3" in found.advice
    assert wrong.get("secret_key", bucket.server.secret_key) not in found.found


async def test_the_doctor_says_what_is_missing_in_the_settings_of_a_bucket(bucket: Bucket) -> None:
    unnamed = msgspec.structs.replace(settings_of(bucket, {}), access_key=None)
    (found,) = [finding async for finding in diagnosis_servers.audit_bucket(unnamed)]
    assert (found.check, found.state) == ("audit bucket", "fail")
    assert "BILLFOLD_AUDIT__PUBLISH_S3__ACCESS_KEY is not" in found.found


async def test_the_doctor_says_nothing_of_a_bucket_that_nobody_has_set() -> None:
    assert [finding async for finding in diagnosis_servers.audit_bucket(settings.AuditObjectStore())] == []


@contextmanager
def simple_store(shown: certificates.Certificate, put: list[str]) -> Iterator[int]:
    """A store by TLS that knows no conditions, and the port it listens on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            if "if-none-match" in self.headers:
                self.send_error(501)
                return
            put.append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.certificate, shown.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_a_store_that_knows_no_conditions_is_looked_at_first_and_known_by_its_certificate(
    database: Database, tmp_path: Path
) -> None:
    authority = certificates.Authority(tmp_path)
    put: list[str] = []

    def place(port: int, tls_ca: Path | None) -> Place:
        keys = {"access_key": "someone", "secret_key": "something"}
        endpoint = f"https://127.0.0.1:{port}"
        return object_store(endpoint=endpoint, bucket="heads", prefix="", region="here", tls_ca=tls_ca, **keys)

    (made,) = await sealed(Audit(database=database, envelope=facades.ENVELOPE), 1)
    with simple_store(authority.signed("store"), put) as port:
        with pytest.raises(errors.PublishingFailed, match="ConnectError"):
            await place(port, None).publish(made)
        assert not put
        await place(port, authority.certificate).publish(made)
    assert put == [made]
