"""A server of gRPC as we run it: with limits, health and reflection, and an end that loses no call."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from billfold.kernel import errors
from billfold.platform.rpc.addresses import Address
from billfold.platform.rpc.interceptors import (
    Allowed,
    Around,
    Audited,
    Identified,
    Known,
    Measured,
    Timed,
    Told,
    Traced,
    Witnessed,
)
from billfold.platform.rpc.metrics import Calls
from billfold.platform.rpc.witness import Witness
from billfold.platform.telemetry.health import Check
from billfold.platform.tls import Mutual

#: A thousand transfers with all the text that they may have are less.
MESSAGE_MAX_BYTES = 64 * 1024 * 1024
#: Head of a call: ids, a token.
METADATA_MAX_BYTES = 16 * 1024
#: Calls and streams at a time. Beyond, gRPC refuses, which is better than a queue without end.
CALLS_MAX = 10_000
#: Calls that are being served when we are told to stop have this long.
GRACE_S = 10.0
#: What the service can't do without is asked so often, and has this long to answer: longer than a busy machine takes.
CHECK_EVERY_S = 1.0
CHECK_TIMEOUT_S = 5.0
#: A caller may ask so often whether we are still there.
PING_MIN_S = 5
_OPTIONS = (
    ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_send_message_length", MESSAGE_MAX_BYTES),
    ("grpc.max_metadata_size", METADATA_MAX_BYTES),
    # Without this a second server would share the port, and take half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_MIN_S * 1000),
    ("grpc.keepalive_permit_without_calls", 1),
)


log = structlog.get_logger(__name__)


class AddressUnusable(errors.BillfoldError):
    """The address can't be listened on."""

    code = "address_unusable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Where a server listens, and whom it lets in."""

    address: Address
    #: Without it, callers come from this machine alone.
    tls: Mutual | None = None
    #: With TLS: who may call, by the names of their certificates; without it, everybody whom the authority knows.
    clients: frozenset[str] | None = None
    #: What callers have to know, too.
    token: str | None = None


class Stop:
    """Told when the server begins to stop: streams, which might last for ever, end then."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()


@asynccontextmanager
async def serving(
    add: Callable[[grpc.aio.Server], None],
    *,
    door: Door,
    names: Sequence[str],
    stop: Stop,
    check: Check,
    witness: Witness | None = None,
) -> AsyncIterator[str]:
    """Serve what `add` adds, the services of these names, until the block ends; then answer what is being served.

    Gives the address, with the port that was chosen if it was 0. Where an audit is kept there is a `witness`, and of
    each command it is known where it comes from. While `check` fails, its health is NOT_SERVING.

    Raises:
        AddressUnusable: it is taken, or it is reached by other machines and there is no TLS.
    """
    _check(door)
    around = _interceptors(door, witness)
    server = grpc.aio.server(interceptors=around, options=_OPTIONS, maximum_concurrent_rpcs=CALLS_MAX)
    add(server)
    well = health.aio.HealthServicer()  # type: ignore[attr-defined]
    health_pb2_grpc.add_HealthServicer_to_server(well, server)
    for name in names:
        await well.set(name, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    bound = _bind(server, door)
    await server.start()
    checking = asyncio.create_task(_keep_checking(check, well, names), name="health")
    try:
        yield bound
    finally:
        checking.cancel()
        with suppress(asyncio.CancelledError):
            await checking
        await well.enter_graceful_shutdown()
        stop.begun.set()
        await server.stop(GRACE_S)


async def _keep_checking(check: Check, well: health.aio.HealthServicer, names: Sequence[str]) -> None:  # type: ignore[name-defined]
    serves = True
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        reason = await _failure(check)
        if serves == (reason is None):
            continue
        serves = reason is None
        if serves:
            log.info("serving again")
        else:
            log.warning("not serving", reason=reason)
        status = health_pb2.HealthCheckResponse.SERVING if serves else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in (health.OVERALL_HEALTH, *names):
            await well.set(name, status)


async def _failure(check: Check) -> str | None:
    """Why we can't serve now."""
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:g} seconds"
    except errors.BillfoldError as error:
        return error.detail
    except Exception:
        log.exception("the check of whether we can serve failed")
        return "the check itself failed"
    return None


def _interceptors(door: Door, witness: Witness | None) -> list[Around]:
    """From the outermost to the innermost."""
    allowed = [Allowed(door.clients)] if door.clients is not None else []
    known = [Known(door.token)] if door.token is not None else []
    inside: list[Around] = [Timed(), *allowed, *known]
    if witness is not None:
        inside = [Witnessed(witness), *inside, Audited()]
    return [Identified(), Measured(Calls()), Told(), Traced(), *inside]


def _check(door: Door) -> None:
    if door.tls is None and not door.address.is_local:
        raise AddressUnusable(
            f"{door.address.target} is reached by other machines, and is not listened on without TLS on both sides."
        )
    if door.address.path is not None and _answers(str(door.address.path)):
        raise AddressUnusable(f"Another program listens on {door.address.path}.")


def _bind(server: grpc.aio.Server, door: Door) -> str:
    target = door.address.target.removeprefix("dns:///").removeprefix("ipv4:").removeprefix("ipv6:")
    try:
        with _private():
            if door.tls is None:
                port = server.add_insecure_port(target)
            else:
                port = server.add_secure_port(target, _credentials(door.tls))
    except RuntimeError as error:
        raise AddressUnusable(f"{target} can't be listened on: is it taken?") from error
    return target if door.address.path is not None else f"{door.address.host}:{port}"


def _credentials(tls: Mutual) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials(
        [(tls.key, tls.certificate)], root_certificates=tls.authority, require_client_auth=True
    )


@contextmanager
def _private() -> Iterator[None]:
    """A socket that is made meanwhile can be opened by this user alone."""
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def _answers(path: str) -> bool:
    """Whether a program listens on the socket: gRPC would take it away from it."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
