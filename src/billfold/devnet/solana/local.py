"""Puts it together: what `billfold.devnet.serving` drives, and the routes of Solana's own protocol."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from litestar import MediaType, Request, Response, WebSocket, get, post, websocket
from litestar.exceptions import WebSocketDisconnect
from litestar.types import ControllerRouterHandler
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from billfold.devnet import serving
from billfold.devnet.solana import calls, failures, faucet, journal
from billfold.devnet.solana.accounts import Accounts
from billfold.devnet.solana.calls import CallFailed, Params
from billfold.devnet.solana.chain import Chain
from billfold.devnet.solana.network import Network
from billfold.devnet.solana.rpc import Dispatcher
from billfold.devnet.solana.subscriptions import Bell, Connection
from billfold.devnet.solana.transactions import AnswerLost, Faults, Transactions

_SALT_BYTES = 32


class Local(serving.Devnet):
    """Solana on this machine."""

    chain: ClassVar[str] = "solana"
    usual_block_s: ClassVar[float] = 0.4

    def __init__(self, folder: Path) -> None:
        self._journal = journal.Journal(folder / "solana.jsonl")
        self._chain = Chain(self._journal, now=lambda: int(time.time()), salt=lambda: secrets.token_bytes(_SALT_BYTES))
        network = Network(self._chain)
        self._transactions = Transactions(self._chain, network)
        self._dispatcher = Dispatcher(
            {
                **network.methods(),
                **Accounts(self._chain, network).methods(),
                **self._transactions.methods(),
                "requestAirdrop": self._airdrop,
            }
        )
        self._bell = Bell()
        self._numbers = itertools.count(1)
        self._variants = itertools.count(secrets.randbelow(1_000_000))

    async def start(self) -> None:
        self._chain.load()

    async def stop(self) -> None:
        self._bell.ring()
        self._journal.close()

    async def tip(self) -> serving.Tip:
        head = self._chain.head("processed")
        return serving.Tip(height=head.slot, hash=head.hash)

    async def mine(self, blocks: int) -> None:
        self._chain.mine(blocks)
        self._bell.ring()

    async def faucet(self, wanted: serving.Faucet) -> str:
        if wanted.token not in {None, str(faucet.USDC)}:
            raise serving.DevnetError(f"The faucet has SOL, and tokens of the mint {faucet.USDC}.")
        try:
            to = Pubkey.from_string(wanted.address)
        except ValueError:
            raise serving.DevnetError("This is no address of Solana.") from None
        # It outlives a fork: none goes deeper than what is final.
        blockhash, variant = self._chain.head("finalized").hash, next(self._variants)
        if wanted.token is None:
            amount = faucet.units(wanted.amount, scale=faucet.SCALE)
            return self._send(faucet.coins(to, amount, blockhash=blockhash, variant=variant, memo=wanted.memo))
        amount = faucet.units(wanted.amount, scale=faucet.TOKEN_SCALE)
        return self._send(faucet.tokens(to, amount, blockhash=blockhash, variant=variant, memo=wanted.memo))

    async def reorg(self, *, depth: int, drop: bool) -> None:
        self._chain.fork(depth=depth, drop=drop)
        self._bell.ring()

    def routes(self) -> Sequence[ControllerRouterHandler]:
        """The protocol at `/`, and the node's faults at `/devnet/faults`."""

        @post("/", status_code=HTTPStatus.OK)
        async def call(request: Request[Any, Any, Any]) -> Response[bytes]:
            try:
                answer = self._dispatcher.answer(await request.body())
            except AnswerLost:
                return Response(b"", status_code=HTTPStatus.GATEWAY_TIMEOUT)
            return Response(answer, media_type=MediaType.JSON)

        @get("/health", media_type=MediaType.TEXT)
        async def health() -> str:
            return "ok"

        @websocket("/")
        async def listen(socket: WebSocket[Any, Any, Any]) -> None:
            await self._listen(socket)

        @post("/devnet/faults", status_code=HTTPStatus.OK)
        async def faults(request: Request[Any, Any, Any]) -> Faults:
            try:
                self._transactions.faults = msgspec.json.decode(await request.body() or b"{}", type=Faults)
            except msgspec.DecodeError as error:
                raise serving.DevnetError(str(error)) from error
            return self._transactions.faults

        return [call, health, listen, faults]

    async def _listen(self, socket: WebSocket[Any, Any, Any]) -> None:
        """One WebSocket, until it is closed."""
        await socket.accept()
        connection = Connection(self._chain, self._transactions, numbers=self._numbers)
        telling = asyncio.create_task(self._tell(socket, connection))
        try:
            while True:
                body = await socket.receive_data(mode="text")
                await socket.send_data(connection.answer(body.encode()).decode(), mode="text")
                await _told(socket, connection)
        except WebSocketDisconnect:
            pass
        finally:
            telling.cancel()

    async def _tell(self, socket: WebSocket[Any, Any, Any], connection: Connection) -> None:
        while True:
            await self._bell.rung()
            await _told(socket, connection)

    def _airdrop(self, params: Params) -> str:
        to, lamports = params.key(0), params.of(1, int)
        if not 0 < lamports <= faucet.AT_ONCE_MAX * 10**faucet.SCALE:
            raise CallFailed(calls.INVALID_PARAMS, f"Invalid request; max {faucet.AT_ONCE_MAX} SOL")
        blockhash = self._chain.head("finalized").hash
        return self._send(faucet.coins(to, lamports, blockhash=blockhash, variant=next(self._variants)))

    def _send(self, transaction: VersionedTransaction) -> str:
        """Let it wait for a block, if it would do what it should.

        Raises:
            DevnetError: it would not.
        """
        outcome, _ = self._chain.engine.simulate(transaction)
        if outcome.error is not None:
            raise serving.DevnetError(failures.sentence(outcome.error))
        self._chain.accept(transaction)
        return str(transaction.signatures[0])


async def _told(socket: WebSocket[Any, Any, Any], connection: Connection) -> None:
    for each in connection.news():
        await socket.send_data(each.decode(), mode="text")
