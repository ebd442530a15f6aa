"""Routes of money that leaves for a chain."""

import msgspec
from litestar import get

from billfold.chains import errors as chain_errors
from billfold.custody import errors as custody_errors
from billfold.identity.contracts import Approval
from billfold.kernel import ids
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.platform.web import Answer, Call, Route
from billfold.wallets import Wallets, contracts
from billfold.wallets.contracts.chain_withdrawals import (
    ChainAddress,
    ChainWithdrawal,
    FeeMax,
    Memo,
    NewChainWithdrawal,
    Speed,
)
from billfold.wallets.rest import answers, examples, refusals
from billfold.wallets.rest.answers import Page

_TAG = "Money on chains"
_SCOPE = contracts.ORDER_SCOPES["withdrawal"]
_WITHDRAWAL = {
    "id": "019aa2c6-7a00-7000-8000-00000000d001",
    "wallet": examples.ADA,
    "chain": "bitcoin",
    "money": {"amount": "0.01000000", "asset": "BTC"},
    "service_fee": {"amount": "0.00000000", "asset": "BTC"},
    "network_fee": {"amount": "0.00001763", "asset": "BTC"},
    "fee_paid": None,
    "to": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "memo": None,
    "speed": "normal",
    "status": "sent",
    "chain_tx": "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
    "height": None,
    "waits_until": None,
    "reason": "",
    "cancelling": False,
    "created_at": examples.AT,
    "changed_at": examples.AT,
}
#: What is said before anything is held.
DESTINATION = (
    chain_errors.AddressInvalid,
    chain_errors.NodeUnavailable,
    chain_errors.NodeWrong,
    custody_errors.AddressIsOurs,
    custody_errors.AddressesUnavailable,
    custody_errors.AmountBelowMinimum,
    custody_errors.AssetNotOnChain,
    custody_errors.DestinationRefused,
    custody_errors.FeesUnknown,
)


class ChainOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money that is to leave a wallet for a chain. `money` is what arrives; fees come on top."""

    money: Money
    to: ChainAddress
    memo: Memo | None = None
    speed: Speed = "normal"
    max_fee: FeeMax | None = None


@get(
    "/wallets/{wallet_id:str}/chain-withdrawals",
    opt=web.operation(
        summary="List withdrawals to chains",
        tag=_TAG,
        scope=contracts.TRANSFERS_READ,
        everybody=contracts.EVERYBODY,
        description="What has left a wallet for chains, or is about to, the newest first.",
        errors=(*refusals.WALLET, *refusals.PAGE),
        answers={"items": [_WITHDRAWAL], "next": None},
    ),
)
async def list_withdrawals(
    wallet_id: str, parameters: answers.Part, principal: Principal, wallets: Wallets
) -> Page[ChainWithdrawal]:
    found = await wallets.chain_withdrawals.page(
        principal=principal, wallet_id=ids.parse(wallet_id), cursor=parameters.cursor, limit=parameters.limit
    )
    return answers.page(f"/wallets/{wallet_id}/chain-withdrawals", parameters, found)


@get(
    "/chain-withdrawals/{withdrawal_id:str}",
    opt=web.operation(
        summary="Get a withdrawal to a chain",
        tag=_TAG,
        scope=contracts.TRANSFERS_READ,
        everybody=contracts.EVERYBODY,
        description="`uncertain` means that nobody knows whether a node has it; the same bytes are sent again.",
        errors=(ids.InvalidId, custody_errors.WithdrawalUnknown),
        answers=_WITHDRAWAL,
    ),
)
async def get_withdrawal(withdrawal_id: str, principal: Principal, wallets: Wallets) -> ChainWithdrawal:
    return await wallets.chain_withdrawals.withdrawal(principal=principal, withdrawal_id=ids.parse(withdrawal_id))


handlers = [list_withdrawals, get_withdrawal]


def routes(wallets: Wallets) -> list[Route]:
    """What sends money out."""
    return [_create(wallets), _cancel(wallets), _bump(wallets)]


def _create(wallets: Wallets) -> Route:
    async def create(call: Call) -> Answer:
        order: ChainOrder = call.command
        wallet = str(ids.parse(call.path["wallet_id"]))
        new = NewChainWithdrawal(
            wallet=wallet,
            money=order.money,
            to=order.to,
            memo=order.memo,
            speed=order.speed,
            max_fee=msgspec.UNSET if order.max_fee is None else order.max_fee,
        )
        sent = await wallets.chain_withdrawals.create(
            principal=call.principal, new=new, key=call.key, step_up=call.step_up
        )
        return Answer(sent.withdrawal, replayed=sent.replayed)

    return Route(
        method="POST",
        path="/wallets/{wallet_id}/chain-withdrawals",
        handler=create,
        command=ChainOrder,
        answer=ChainWithdrawal,
        idempotent=True,
        stepped_up=True,
        status=201,
        operation=web.Operation(
            summary="Withdraw to a chain",
            tag=_TAG,
            scope=_SCOPE,
            everybody=contracts.OPERATOR,
            description="Send money to an address on the chain of its asset. Amount and fees are held at once, and "
            "paid when the chain has it for good; what the network did not take goes back. A new address waits, unless "
            "its owner confirms it by a second factor. Ask for the fees before: `GET /chains/{chain}/fees`. With "
            "`max_fee` nothing is held if they have risen above it since: `fee_above_maximum` says what they are.",
            errors=(
                *refusals.WALLET,
                *refusals.AMOUNT,
                *refusals.POSTING,
                *refusals.STEPPED_UP,
                *refusals.SUPERVISED,
                *DESTINATION,
                custody_errors.FeeAboveMaximum,
            ),
            defers=Approval,
            sends={"money": _WITHDRAWAL["money"], "to": _WITHDRAWAL["to"]},
            answers=_WITHDRAWAL | {"status": "held", "chain_tx": None},
        ),
    )


def _cancel(wallets: Wallets) -> Route:
    async def cancel(call: Call) -> Answer:
        withdrawal_id = ids.parse(call.path["withdrawal_id"])
        return Answer(await wallets.chain_withdrawals.cancel(principal=call.principal, withdrawal_id=withdrawal_id))

    return Route(
        method="POST",
        path="/chain-withdrawals/{withdrawal_id}/cancel",
        handler=cancel,
        answer=ChainWithdrawal,
        operation=web.Operation(
            summary="Cancel a withdrawal to a chain",
            tag=_TAG,
            scope=_SCOPE,
            everybody=contracts.OPERATOR,
            description="Before it is signed the money is given back at once. Afterwards a replacement is sent where "
            "the chain takes one, and `cancelling` is true until one of the two is in a block.",
            errors=(
                ids.InvalidId,
                custody_errors.WithdrawalUnknown,
                custody_errors.WithdrawalTooLate,
                ledger_errors.OutcomeUnknown,
                ledger_errors.Overloaded,
            ),
            answers=_WITHDRAWAL | {"status": "cancelled", "chain_tx": None},
        ),
    )


def _bump(wallets: Wallets) -> Route:
    async def bump(call: Call) -> Answer:
        return Answer(
            await wallets.chain_withdrawals.bump(
                principal=call.principal, withdrawal_id=ids.parse(call.path["withdrawal_id"]), key=call.key
            )
        )

    return Route(
        method="POST",
        path="/chain-withdrawals/{withdrawal_id}/bump",
        handler=bump,
        answer=ChainWithdrawal,
        idempotent=True,
        operation=web.Operation(
            summary="Raise the fee of a withdrawal",
            tag=_TAG,
            scope=_SCOPE,
            everybody=contracts.OPERATOR,
            description="Replace its transaction by one that offers more for its place in a block. What that may cost "
            "is held besides. Only one of the two can happen.",
            errors=(
                ids.InvalidId,
                *refusals.POSTING,
                chain_errors.NodeUnavailable,
                chain_errors.NodeWrong,
                custody_errors.WithdrawalUnknown,
                custody_errors.WithdrawalTooLate,
                custody_errors.FeesUnknown,
            ),
            answers=_WITHDRAWAL,
        ),
    )
