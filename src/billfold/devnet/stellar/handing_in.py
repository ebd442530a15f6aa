"""Handing in transactions: at once (`/transactions_async`), or with an answer when a ledger has it (`/transactions`).

A fault can be switched on: an answer 504 to what was taken all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from litestar import MediaType, Request, Response, post
from litestar.types import ControllerRouterHandler

from billfold.devnet.stellar import asking, records
from billfold.devnet.stellar.asking import Problem
from billfold.devnet.stellar.envelopes import ENVELOPE_BYTES_MAX, Envelope, Malformed
from billfold.devnet.stellar.history import Included
from billfold.devnet.stellar.ledgers import Answer, Ledgers
from billfold.devnet.stellar.results import Verdict
from billfold.devnet.stellar.validity import minimum_fee

#: Horizon gives up after this, whatever becomes of the transaction.
WAIT_S = 30.0
_STATUSES = {
    Answer.PENDING: HTTPStatus.CREATED,
    Answer.DUPLICATE: HTTPStatus.CONFLICT,
    Answer.TRY_AGAIN_LATER: HTTPStatus.SERVICE_UNAVAILABLE,
}

Asked = Request[Any, Any, Any]


class HandingIn:
    """Takes transactions."""

    def __init__(self, ledgers: Ledgers, *, now: Callable[[], int]) -> None:
        self._ledgers = ledgers
        self._now = now
        self._closed = asyncio.Event()
        #: So many answers more are 504 although the transaction was taken.
        self.silent = 0

    def ledger_closed(self) -> None:
        """Wake whoever waits for a ledger."""
        self._closed.set()
        self._closed = asyncio.Event()

    def routes(self) -> Sequence[ControllerRouterHandler]:
        """Litestar's handlers."""

        @post("/transactions", media_type=MediaType.JSON)
        async def transactions(request: Asked) -> Response[Any]:
            return await self._patiently(request, await self._envelope(request))

        @post("/transactions_async", media_type=MediaType.JSON)
        async def transactions_async(request: Asked) -> Response[Any]:
            return self._at_once(await self._envelope(request))

        return [transactions, transactions_async]

    async def _envelope(self, request: Asked) -> Envelope:
        body = await request.body()
        # In a form each character of base64 may take three.
        fields = parse_qs(body[: 3 * ENVELOPE_BYTES_MAX * 2].decode("ascii", errors="replace"), max_num_fields=10)
        text = fields.get("tx", [""])[0].replace(" ", "+")
        try:
            return self._ledgers.read(text)
        except Malformed:
            raise Problem(
                "transaction_malformed", "This is no transaction envelope in XDR and base64.", {"envelope_xdr": text}
            ) from None

    def _submit(self, envelope: Envelope) -> Answer | Verdict:
        answer = self._ledgers.submit(envelope, at=self._now())
        if self.silent and answer is Answer.PENDING:
            self.silent -= 1
            raise _nobody_knows(envelope)
        return answer

    def _at_once(self, envelope: Envelope) -> Response[Any]:
        answer = self._submit(envelope)
        name = envelope.hash.hex()
        if isinstance(answer, Answer):
            return asking.answer({"tx_status": answer.value, "hash": name}, status=_STATUSES[answer])
        result = answer.result(envelope, charged=minimum_fee(envelope)).to_xdr()
        told = {"tx_status": "ERROR", "hash": name, "error_result_xdr": result, "errorResultXdr": result}
        return asking.answer(told, status=HTTPStatus.BAD_REQUEST)

    async def _patiently(self, request: Asked, envelope: Envelope) -> Response[Any]:
        name = envelope.hash.hex()
        known = self._ledgers.history.transaction(name)
        if known is None:
            answer = self._submit(envelope)
            if isinstance(answer, Verdict):
                raise _failed(envelope, answer, charged=minimum_fee(envelope))
            known = await self._included(envelope)
        if not known.verdict.succeeded:
            raise _failed(envelope, known.verdict, charged=known.charged)
        return asking.answer(records.transaction(asking.base(request), known))

    async def _included(self, envelope: Envelope) -> Included:
        name = envelope.hash.hex()
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    found = self._ledgers.history.transaction(name)
                    if found is not None:
                        return found
                    await self._closed.wait()
        except TimeoutError:
            raise _nobody_knows(envelope) from None


def _nobody_knows(envelope: Envelope) -> Problem:
    return Problem(
        "timeout",
        "No ledger has the transaction yet; hand the same one in again.",
        {"hash": envelope.hash.hex(), "envelope_xdr": envelope.text()},
    )


def _failed(envelope: Envelope, verdict: Verdict, *, charged: int) -> Problem:
    return Problem(
        "transaction_failed",
        "The network did not take the transaction, or it failed there; extras.result_codes says why.",
        {
            "envelope_xdr": envelope.text(),
            "hash": envelope.hash.hex(),
            "result_codes": verdict.words(envelope),
            "result_xdr": verdict.result(envelope, charged=charged).to_xdr(),
        },
    )
