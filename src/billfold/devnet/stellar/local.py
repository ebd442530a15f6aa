"""A Stellar of this machine's own as a program."""

from __future__ import annotations

import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec
from litestar import MediaType, Request, Response, Router, get, post
from litestar.types import ControllerRouterHandler

from billfold.chains.stellar.networks import PASSPHRASES
from billfold.devnet import serving
from billfold.devnet.serving import Devnet, DevnetConflict, DevnetError, Tip
from billfold.devnet.stellar import asking
from billfold.devnet.stellar.asking import Problem
from billfold.devnet.stellar.faucet import Faucet
from billfold.devnet.stellar.handing_in import HandingIn
from billfold.devnet.stellar.horizon import Horizon
from billfold.devnet.stellar.ledgers import Ledgers

#: What friendbot gives, in lumens.
_FRIENDLY = "10000"


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to go wrong. What is not named stays as it is."""

    #: So many transactions more are taken and answered with 504.
    timeout_after_accept: Annotated[int, msgspec.Meta(ge=0, le=1_000)] | None = None
    #: The ledgers' clock goes so many seconds ahead; never back.
    clock_ahead_s: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] | None = None


class Local(Devnet):
    """The chain."""

    chain: ClassVar[str] = "stellar"
    usual_block_s: ClassVar[float] = 2.0

    def __init__(self, folder: Path) -> None:
        self._ledgers = Ledgers(folder, passphrase=PASSPHRASES["sandbox"])
        self._faucet = Faucet(self._ledgers)
        self._handing_in = HandingIn(self._ledgers, now=self._now)
        self._ahead_s = 0

    async def start(self) -> None:
        """Read the journal, or begin."""
        if self._ledgers.open(at=self._now()):
            self._faucet.begin(at=self._now())

    async def stop(self) -> None:
        """End."""
        self._ledgers.stop()

    def routes(self) -> Sequence[ControllerRouterHandler]:
        """Horizon, friendbot, and what can go wrong."""

        @get("/friendbot", media_type=MediaType.JSON, sync_to_thread=False)
        def friendbot(request: Request[Any, Any, Any]) -> Response[Any]:
            return self._friendly(request)

        @get("/devnet/tokens", media_type=MediaType.JSON, sync_to_thread=False)
        def tokens() -> dict[str, list[str]]:
            return {"tokens": [self._faucet.token]}

        @post("/devnet/fault", status_code=HTTPStatus.OK)
        async def fault(request: Request[Any, Any, Any]) -> dict[str, int]:
            return self._fault(await request.body())

        handlers = [*Horizon(self._ledgers).routes(), *self._handing_in.routes(), friendbot]
        horizon = Router("/", route_handlers=handlers, exception_handlers={Problem: _problem})
        return [horizon, tokens, fault]

    async def tip(self) -> Tip:
        """The last ledger."""
        last = self._ledgers.history.last
        return Tip(height=last.sequence, hash=last.hash)

    async def mine(self, blocks: int) -> None:
        """Close ledgers."""
        for _ in range(blocks):
            self._ledgers.close(at=self._now())
        self._handing_in.ledger_closed()

    async def faucet(self, wanted: serving.Faucet) -> str:
        """Pay from the first account, or the issuer of the test asset.

        Raises:
            DevnetError
        """
        return self._faucet.pay(
            address=wanted.address, amount=wanted.amount, token=wanted.token, memo=wanted.memo, at=self._now()
        )

    async def reorg(self, *, depth: int, drop: bool) -> None:  # noqa: ARG002 - as other chains have it
        """Nothing is ever replaced.

        Raises:
            DevnetConflict: always.
        """
        raise DevnetConflict("this chain is final")

    def _friendly(self, request: Request[Any, Any, Any]) -> Response[Any]:
        address = request.query_params.get("addr", "")
        if self._ledgers.state.account(address) is not None:
            raise Problem("bad_request", "The account is there already.", {"invalid_field": "addr", "reason": "exists"})
        try:
            name = self._faucet.pay(address=address, amount=_FRIENDLY, token=None, memo=None, at=self._now())
        except DevnetError as error:
            raise Problem("bad_request", error.detail, {"invalid_field": "addr", "reason": error.detail}) from error
        # Whoever asks a friendbot goes on with the account at once.
        self._ledgers.close(at=self._now())
        self._handing_in.ledger_closed()
        return asking.answer({"successful": True, "hash": name})

    def _fault(self, body: bytes) -> dict[str, int]:
        try:
            wanted = msgspec.json.decode(body or b"{}", type=Fault)
        except msgspec.DecodeError as error:
            raise DevnetError(str(error)) from error
        if wanted.timeout_after_accept is not None:
            self._handing_in.silent = wanted.timeout_after_accept
        if wanted.clock_ahead_s is not None:
            self._ahead_s = wanted.clock_ahead_s
        return {"timeout_after_accept": self._handing_in.silent, "clock_ahead_s": self._ahead_s}

    def _now(self) -> int:
        return int(time.time()) + self._ahead_s


def _problem(_request: Request[Any, Any, Any], error: Problem) -> Response[Any]:
    return asking.problem(error)
