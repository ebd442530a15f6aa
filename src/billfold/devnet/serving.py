"""What the chains of this machine have in common: a process, a port on 127.0.0.1, blocks as time goes by, and control.

    GET  /devnet           what it is and how far it has come
    POST /devnet/mine      make blocks now
    POST /devnet/faucet    send play money, as a transaction of that chain
    POST /devnet/reorg     replace the last blocks by others
    POST /devnet/stall     make no blocks until told otherwise

What is asked for in vain is answered with 4xx and {"error": "…"}. Everything else at this port is the chain's own
protocol. To control it nobody has to log in: only this machine can ask, and only by its own name, lest a page from
elsewhere whose name points here now (DNS rebinding) does.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
import uvicorn
from litestar import Litestar, MediaType, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.plugins import PluginProtocol
from litestar.types import ControllerRouterHandler

from billfold.kernel import errors
from billfold.platform import host

HOST = "127.0.0.1"
#: How a program on this machine may name us, whatever the port: it may have been forwarded.
_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
#: The largest transaction or block that any of the chains takes is below it, in hexadecimal digits too.
BODY_BYTES_MAX = 10_000_000
#: More than anybody waits for; a caller who wants more asks again.
BLOCKS_MAX = 500
#: Requests that are being served when we are told to stop have this long.
GRACE_S = 3

Mining = Literal["manual", "interval"]
T = TypeVar("T")


class DevnetError(errors.BillfoldError):
    """The local chain can't do this."""

    code = "devnet_error"
    status: ClassVar[HTTPStatus] = HTTPStatus.BAD_REQUEST


class DevnetConflict(DevnetError):
    """The local chain can't do this as it is now."""

    code = "devnet_conflict"
    status: ClassVar[HTTPStatus] = HTTPStatus.CONFLICT


class FolderTaken(DevnetError):
    """Another process has this folder open."""

    code = "devnet_folder_taken"


class Tip(msgspec.Struct, frozen=True, kw_only=True):
    """The last block."""

    height: int
    hash: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What a local chain is and how far it has come."""

    chain: str
    height: int
    hash: str
    stalled: bool
    mining: Mining
    #: Seconds from block to block; 0 is by hand alone.
    block_s: float


class Mine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many blocks at once."""

    blocks: Annotated[int, msgspec.Meta(ge=1, le=BLOCKS_MAX)] = 1


class Faucet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Play money to send; the amount is decimal text in the unit that people use."""

    address: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    amount: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    token: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    memo: Annotated[str, msgspec.Meta(max_length=200)] | None = None


class Reorg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many of the last blocks are replaced (by one more), and whether their transactions are gone for good."""

    depth: Annotated[int, msgspec.Meta(ge=1, le=BLOCKS_MAX)]
    drop: bool = False


class Stall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether no blocks are to be made."""

    stalled: bool


class Devnet(ABC):
    """A chain of this machine's own. `serve` calls one method at a time, besides those of `routes`."""

    #: As it is called on the command line.
    chain: ClassVar[str]
    #: From block to block by default.
    usual_block_s: ClassVar[float]

    @abstractmethod
    async def start(self) -> None:
        """Be ready, with every block and transaction that was ever answered for."""

    @abstractmethod
    async def stop(self) -> None:
        """End; what is written is written already."""

    @abstractmethod
    def routes(self) -> Sequence[ControllerRouterHandler]:
        """Litestar's handlers for the chain's own protocol."""

    @abstractmethod
    async def tip(self) -> Tip:
        """The last block."""

    @abstractmethod
    async def mine(self, blocks: int) -> None:
        """Make blocks, with what waits for one."""

    async def tick(self) -> None:
        """Time for a block has passed; not called while stalled."""
        await self.mine(1)

    @abstractmethod
    async def faucet(self, wanted: Faucet) -> str:
        """Send play money; gives the id of the transaction, which waits for a block as any other.

        Raises:
            DevnetError.
        """

    @abstractmethod
    async def reorg(self, *, depth: int, drop: bool) -> None:
        """Replace the last `depth` blocks by one more; with `drop` their transactions never happen.

        Raises:
            DevnetError.
        """

    async def stall(self, *, stalled: bool) -> None:  # noqa: B027 - most engines make no blocks by themselves
        """Told when blocks stop or go on."""


class Control:
    """Drives one chain: by hand, over HTTP, and as time goes by."""

    def __init__(self, devnet: Devnet, *, block_s: float) -> None:
        self._devnet = devnet
        self._block_s = block_s
        self._stalled = False
        self._one_at_a_time = asyncio.Lock()

    async def status(self) -> Status:
        """What it is now."""
        tip = await self._devnet.tip()
        return Status(
            chain=self._devnet.chain,
            height=tip.height,
            hash=tip.hash,
            stalled=self._stalled,
            mining="interval" if self._block_s else "manual",
            block_s=self._block_s,
        )

    async def mine(self, wanted: Mine) -> Tip:
        """Make blocks, stalled or not: whoever asks for one by hand gets it."""
        async with self._one_at_a_time:
            await self._devnet.mine(wanted.blocks)
            return await self._devnet.tip()

    async def faucet(self, wanted: Faucet) -> dict[str, str]:
        """Send play money."""
        async with self._one_at_a_time:
            return {"chain_tx": await self._devnet.faucet(wanted)}

    async def reorg(self, wanted: Reorg) -> Tip:
        """Replace the last blocks."""
        async with self._one_at_a_time:
            await self._devnet.reorg(depth=wanted.depth, drop=wanted.drop)
            return await self._devnet.tip()

    async def stall(self, wanted: Stall) -> Status:
        """Make no blocks, or go on."""
        async with self._one_at_a_time:
            await self._devnet.stall(stalled=wanted.stalled)
            self._stalled = wanted.stalled
        return await self.status()

    async def run(self) -> None:
        """Make blocks for ever. One that fails ends the process: a chain that stands still unseen is worse."""
        while self._block_s:
            await asyncio.sleep(self._block_s)
            async with self._one_at_a_time:
                if not self._stalled:
                    await self._devnet.tick()

    def routes(self) -> list[ControllerRouterHandler]:
        """Litestar's handlers for what can be asked."""

        @get("/devnet", media_type=MediaType.JSON)
        async def status() -> Status:
            return await self.status()

        @post("/devnet/mine", status_code=HTTPStatus.OK)
        async def mine(request: Request[Any, Any, Any]) -> Tip:
            return await self.mine(await _decoded(request, Mine))

        @post("/devnet/faucet", status_code=HTTPStatus.OK)
        async def faucet(request: Request[Any, Any, Any]) -> dict[str, str]:
            return await self.faucet(await _decoded(request, Faucet))

        @post("/devnet/reorg", status_code=HTTPStatus.OK)
        async def reorg(request: Request[Any, Any, Any]) -> Tip:
            return await self.reorg(await _decoded(request, Reorg))

        @post("/devnet/stall", status_code=HTTPStatus.OK)
        async def stall(request: Request[Any, Any, Any]) -> Status:
            return await self.stall(await _decoded(request, Stall))

        return [status, mine, faucet, reorg, stall]


async def serve(devnet: Devnet, *, folder: Path, port: int, block_s: float | None = None) -> None:
    """Run a chain until SIGTERM or SIGINT; says one line on standard output when it is ready.

    Raises:
        FolderTaken: another process has it open.
        OSError: the port is taken.
    """
    # uvicorn raises the signal that has stopped it once more when it is done; the chain still has to be closed then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    with _alone(folder), socket.create_server((HOST, port)) as listening:
        control = Control(devnet, block_s=devnet.usual_block_s if block_s is None else block_s)
        await devnet.start()
        try:
            server = _Server(_config(_application(devnet, control)), devnet.chain)
            await _both(server, control, listening)
        finally:
            await devnet.stop()


async def _both(server: uvicorn.Server, control: Control, listening: socket.socket) -> None:
    """Serve, and make blocks as time goes by; the end of either is the end."""
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    mining = asyncio.create_task(control.run())

    def failed(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and done.exception() is not None:
            server.should_exit = True

    mining.add_done_callback(failed)
    try:
        await serving
    finally:
        mining.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await mining


class _Server(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config, chain: str) -> None:
        super().__init__(config)
        self._chain = chain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        for each in sockets or ():
            print(f"{self._chain} is ready at http://{HOST}:{each.getsockname()[1]}", flush=True)  # noqa: T201 - told to whoever started it


class _Litestar(Litestar):
    """Without its plugins for other libraries' models: they import all of pydantic wherever that is installed."""

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return plugins


def _application(devnet: Devnet, control: Control) -> Litestar:
    return _Litestar(
        [*control.routes(), *devnet.routes()],
        openapi_config=None,
        logging_config=None,
        before_request=_by_our_name,
        exception_handlers={DevnetError: _refused, HTTPException: _not_http},
        request_max_body_size=BODY_BYTES_MAX,
    )


def _config(application: Any) -> uvicorn.Config:
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    return uvicorn.Config(
        application,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else has the folder open: two engines would write over each other."""
    host.private_folder(folder)
    with (folder / "devnet.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderTaken from None
        yield


async def _decoded(request: Request[Any, Any, Any], kind: type[T]) -> T:
    body = await request.body()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise DevnetError(str(error)) from error


async def _by_our_name(request: Request[Any, Any, Any]) -> Response[Any] | None:
    named = request.headers.get("Host", "")
    name = named.rpartition(":")[0] if named.rpartition(":")[2].isdecimal() else named
    if name in _NAMES:
        return None
    return _error(HTTPStatus.MISDIRECTED_REQUEST, f"The local chain is at {HOST} and by no other name.")


def _refused(_request: Request[Any, Any, Any], error: DevnetError) -> Response[Any]:
    return _error(error.status, error.detail)


def _not_http(_request: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    return _error(error.status_code, error.detail)


def _error(status: int, detail: str) -> Response[Any]:
    return Response({"error": detail}, status_code=status, media_type=MediaType.JSON)
