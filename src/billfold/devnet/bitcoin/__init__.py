"""Bitcoin on this machine: Bitcoin Core's consensus code under the RPC of bitcoind, on regtest.

`consensus` is the kernel; `journal`, `view` and `node` keep the chain; `mempool` and `rules` say what may wait (a small
policy of ours); `mining` and `faucet` make blocks and play money; `rpc`, `reading`, `sending` and `forms` are what
clients see. They log in with the words in the file `.cookie` of the folder, as bitcoind's do.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, post
from litestar.types import ControllerRouterHandler

from billfold.chains.bitcoin import addresses
from billfold.chains.errors import AddressInvalid
from billfold.devnet import serving
from billfold.devnet.bitcoin import faucet, rpc
from billfold.devnet.bitcoin.node import Node
from billfold.devnet.bitcoin.reading import Reading
from billfold.devnet.bitcoin.rules import Rejected
from billfold.devnet.bitcoin.sending import Sending
from billfold.devnet.bitcoin.view import MATURITY
from billfold.kernel import money
from billfold.platform import host

SCALE = 8
USER = "__cookie__"
COOKIE = ".cookie"
#: At the first start: coins that can be spent at once, for a few payments in one block.
FIRST_BLOCKS = MATURITY + 10
#: A tenth of a second of work.
_BLOCKS_AT_ONCE = 20


class Local(serving.Devnet):
    """A regtest in a folder."""

    chain = "bitcoin"
    usual_block_s = 5.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def start(self) -> None:
        self._password = host.kept_secret(self._folder / "password")
        host.write_private(self._folder / COOKIE, f"{USER}:{self._password}")
        self._node = Node(self._folder)
        self._node.open()
        if self._node.view.height == 0:
            self._node.mine(FIRST_BLOCKS, faucet.SCRIPT)
        self._methods = {**Reading(self._node).methods(), **Sending(self._node).methods()}

    async def stop(self) -> None:
        self._node.close()

    def routes(self) -> Sequence[ControllerRouterHandler]:
        @post("/", media_type=MediaType.JSON)
        async def called(request: Request[Any, Any, Any]) -> Response[bytes]:
            if not self._knows(request.headers.get("Authorization", "")):
                return Response(b"", status_code=401, headers={"WWW-Authenticate": 'Basic realm="jsonrpc"'})
            reply = rpc.reply(self._methods, await request.body())
            return Response(reply.body, status_code=reply.status)

        return [called]

    async def tip(self) -> serving.Tip:
        return serving.Tip(height=self._node.view.height, hash=self._node.view.tip.hash)

    async def mine(self, blocks: int) -> None:
        for made in range(0, blocks, _BLOCKS_AT_ONCE):
            self._node.mine(min(_BLOCKS_AT_ONCE, blocks - made), faucet.SCRIPT)
            # Others are answered in between.
            await asyncio.sleep(0)

    async def faucet(self, wanted: serving.Faucet) -> str:
        if wanted.token is not None or wanted.memo is not None:
            raise serving.DevnetError("Bitcoin has no tokens and no memos.")
        try:
            script = addresses.script_of(wanted.address, "sandbox")
            amount = money.parse(wanted.amount, SCALE)
            transaction = faucet.payment(self._node, script, amount)
            self._node.accept(transaction)
        except (AddressInvalid, money.InvalidAmount, money.AmountTooPrecise, money.AmountTooLarge) as error:
            raise serving.DevnetError(error.detail) from error
        except Rejected as error:
            raise serving.DevnetError(f"The payment can't be made: {error}.") from error
        return transaction.txid

    async def reorg(self, *, depth: int, drop: bool) -> None:
        self._node.reorg(depth=depth, drop=drop, script=faucet.SCRIPT)

    def _knows(self, header: str) -> bool:
        expected = "Basic " + base64.b64encode(f"{USER}:{self._password}".encode()).decode()
        return secrets.compare_digest(header.encode(), expected.encode())
