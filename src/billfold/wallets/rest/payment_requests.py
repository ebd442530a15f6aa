"""Routes of money that somebody asks somebody else for."""

from typing import Annotated

import msgspec
from litestar import Response, get, post
from msgspec import Meta

from billfold.kernel import clock, ids
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import NewPaymentRequest, Payment, PaymentRequest, RequestDirection, Transfer
from billfold.wallets.rest import answers, examples, refusals
from billfold.wallets.rest.answers import Page

_TAG = "Payment requests"
_SCOPE = contracts.ORDER_SCOPES["transfer"]
_EXAMPLE = {
    "id": "019aa2c6-7a00-7000-8000-00000000e001",
    "direction": "outgoing",
    "from": "@bob",
    "payee": "Ada Lovelace",
    "to": examples.ADA,
    "money": examples.MONEY,
    "reference": "invoice 4711",
    "description": "Two coffees",
    "status": "open",
    "created_at": examples.AT,
    "expires_at": "2026-03-02T12:00:00.123456Z",
    "ended_at": None,
    "transfer_id": None,
}
_INCOMING = _EXAMPLE | {"direction": "incoming", "to": None}
_ONE = (ids.InvalidId, errors.PaymentRequestUnknown)
_ENDING = (*_ONE, errors.PaymentRequestEnded, ledger_errors.OutcomeUnknown, ledger_errors.Overloaded)


class PaymentRequestList(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are wanted."""

    direction: Annotated[
        RequestDirection, Meta(description="Those that you are asked to pay, or those that you have made.")
    ] = "incoming"
    open: Annotated[bool, Meta(description="Only those that can still be paid.")] = False
    cursor: answers.Cursor = None
    limit: answers.Limit = None


@post(
    "/payment-requests",
    status_code=201,
    opt=web.operation(
        summary="Ask for a payment",
        tag=_TAG,
        scope=_SCOPE,
        description="Ask whoever has an alias for money. They see your name, and pay or decline; until then you can "
        "cancel it.",
        errors=(
            *refusals.ALIAS,
            *refusals.WALLET,
            *refusals.AMOUNT,
            errors.AliasHasNoWallet,
            errors.PayerIsYou,
            errors.TooManyPaymentRequests,
            errors.ExpiryTooLate,
            ledger_errors.ExpiryInPast,
            clock.InvalidInstant,
        ),
        sends={"from": "@bob", "to": examples.ADA, "money": examples.MONEY, "reference": "invoice 4711"},
        answers=_EXAMPLE,
    ),
)
async def ask(command: NewPaymentRequest, key: str, principal: Principal, wallets: Wallets) -> Response[PaymentRequest]:
    made, replayed = await wallets.payment_requests.create(principal=principal, new=command, key=key)
    return Response(made, headers={"Idempotency-Replayed": "true"} if replayed else {})


@get(
    "/payment-requests",
    opt=web.operation(
        summary="List payment requests",
        tag=_TAG,
        scope=contracts.TRANSFERS_READ,
        description="What you are asked for, or what you ask for; the newest first.",
        errors=refusals.PAGE,
        answers={"items": [_INCOMING], "next": None},
    ),
)
async def list_requests(parameters: PaymentRequestList, principal: Principal, wallets: Wallets) -> Page[PaymentRequest]:
    found = await wallets.payment_requests.page(
        principal=principal,
        direction=parameters.direction,
        only_open=parameters.open,
        cursor=parameters.cursor,
        limit=parameters.limit,
    )
    return answers.page("/payment-requests", parameters, found)


@get(
    "/payment-requests/{request_id:str}",
    opt=web.operation(
        summary="Get a payment request", tag=_TAG, scope=contracts.TRANSFERS_READ, errors=_ONE, answers=_INCOMING
    ),
)
async def get_request(request_id: str, principal: Principal, wallets: Wallets) -> PaymentRequest:
    return await wallets.payment_requests.request(principal=principal, request_id=ids.parse(request_id))


@post(
    "/payment-requests/{request_id:str}/pay",
    status_code=200,
    opt=web.operation(
        summary="Pay a payment request",
        tag=_TAG,
        scope=_SCOPE,
        description="The request itself makes this safe to repeat: it is paid once, and paying it again is answered "
        "with the same transfer.",
        errors=(*_ENDING, *refusals.ALIAS, *refusals.WALLET, *refusals.POSTING, errors.AliasHasNoWallet),
        sends={"from": examples.BOB},
        answers=examples.TRANSFER,
    ),
)
async def pay(request_id: str, command: Payment, principal: Principal, wallets: Wallets) -> Response[Transfer]:
    moved = await wallets.payment_requests.pay(
        principal=principal, request_id=ids.parse(request_id), source=command.source
    )
    return Response(moved.transfer, headers={"Idempotency-Replayed": "true"} if moved.replayed else {})


@post(
    "/payment-requests/{request_id:str}/decline",
    status_code=200,
    opt=web.operation(
        summary="Decline a payment request",
        tag=_TAG,
        scope=_SCOPE,
        description="Say that you don't pay. It stays so.",
        errors=_ENDING,
        answers=_INCOMING | {"status": "declined", "ended_at": examples.AT},
    ),
)
async def decline(request_id: str, principal: Principal, wallets: Wallets) -> PaymentRequest:
    return await wallets.payment_requests.decline(principal=principal, request_id=ids.parse(request_id))


@post(
    "/payment-requests/{request_id:str}/cancel",
    status_code=200,
    opt=web.operation(
        summary="Cancel a payment request",
        tag=_TAG,
        scope=_SCOPE,
        description="Take back what you have asked for. It stays so.",
        errors=_ENDING,
        answers=_EXAMPLE | {"status": "cancelled", "ended_at": examples.AT},
    ),
)
async def cancel(request_id: str, principal: Principal, wallets: Wallets) -> PaymentRequest:
    return await wallets.payment_requests.cancel(principal=principal, request_id=ids.parse(request_id))


handlers = [ask, list_requests, get_request, pay, decline, cancel]
