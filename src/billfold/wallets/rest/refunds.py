"""The routes by which what has arrived for nobody known is sent back."""

from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from billfold.chains import errors as chain_errors
from billfold.custody import errors as custody_errors
from billfold.custody.contracts import Deposit
from billfold.identity.contracts import Approval
from billfold.kernel import forms, ids
from billfold.platform import web
from billfold.platform.web import Answer, Call, Route
from billfold.wallets import Wallets, contracts
from billfold.wallets.contracts.chain_withdrawals import ChainAddress, Memo
from billfold.wallets.rest import chain_withdrawals, on_chains, refusals

#: Each is an operator's, who may send money out.
_operation = partial(
    web.Operation,
    tag="Money on chains",
    scope=contracts.ORDER_SCOPES["withdrawal"],
    also=(contracts.OPERATOR,),
    everybody=contracts.OPERATOR,
)
_TO = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"
_DEPOSIT = on_chains.DEPOSIT | {
    "wallet_id": None,
    "chain": "stellar",
    "money": {"amount": "12.5000000", "asset": "XLM"},
    "state": "releasable",
    "refund": {
        "money": {"amount": "12.4999750", "asset": "XLM"},
        "to": _TO,
        "memo": "text:4711",
        "status": "held",
        "chain_tx": None,
        "reason": "ticket 4711: the sender has shown this payment",
        "waits": "",
    },
}


class RefundOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an unmatched deposit is to be sent."""

    to: ChainAddress
    memo: Memo | None = None
    reason: Annotated[
        str,
        Meta(
            description="How you know.",
            examples=["ticket 4711: the sender has shown this payment"],
            min_length=1,
            max_length=on_chains.REASON_MAX,
            pattern=forms.NO_NUL,
        ),
    ]


def routes(wallets: Wallets) -> list[Route]:
    """What sends deposits back."""

    async def refund(call: Call) -> Answer:
        order: RefundOrder = call.command
        deposit, replayed = await wallets.on_chains.refund(
            principal=call.principal,
            deposit_id=ids.parse(call.path["deposit_id"]),
            to=order.to,
            memo=order.memo,
            reason=order.reason,
            key=call.key,
            step_up=call.step_up,
        )
        return Answer(deposit, replayed=replayed)

    operation = _operation(
        summary="Refund a deposit",
        description="For operators: send what has arrived for nobody known to the address that its sender has named; "
        "never to where it came from by itself, which may be an exchange. The network fee is taken from it. `refund` "
        "of the deposit says how far that is. When it fails, the deposit is nobody's again.",
        errors=(
            ids.InvalidId,
            custody_errors.DepositUnknown,
            custody_errors.DepositNotUnmatched,
            custody_errors.DepositNotReleasable,
            custody_errors.WithdrawalsStopped,
            *refusals.POSTING,
            *refusals.STEPPED_UP,
            *refusals.SUPERVISED,
            *chain_withdrawals.DESTINATION,
        ),
        defers=Approval,
        sends={"to": _TO, "memo": "text:4711", "reason": "ticket 4711: the sender has shown this payment"},
        answers=_DEPOSIT,
    )
    return [
        Route(
            method="POST",
            path="/deposits/{deposit_id}/refund",
            handler=refund,
            command=RefundOrder,
            answer=Deposit,
            idempotent=True,
            stepped_up=True,
            operation=operation,
        ),
        _bump(wallets),
    ]


def _bump(wallets: Wallets) -> Route:
    async def bump(call: Call) -> Answer:
        deposit_id = ids.parse(call.path["deposit_id"])
        return Answer(
            await wallets.on_chains.bump_refund(principal=call.principal, deposit_id=deposit_id, key=call.key)
        )

    return Route(
        method="POST",
        path="/deposits/{deposit_id}/bump-refund",
        handler=bump,
        answer=Deposit,
        idempotent=True,
        operation=_operation(
            summary="Raise the fee of a refund",
            description="For operators: replace the transaction that sends a deposit back by one that offers more for "
            "its place in a block. What that costs more is the house's, up to its `house_fee_max`. Only one of the two "
            "can happen.",
            errors=(
                ids.InvalidId,
                custody_errors.DepositUnknown,
                custody_errors.DepositNotRefunded,
                custody_errors.WithdrawalTooLate,
                custody_errors.FeesUnknown,
                chain_errors.NodeUnavailable,
                chain_errors.NodeWrong,
            ),
            answers=_DEPOSIT,
        ),
    )
