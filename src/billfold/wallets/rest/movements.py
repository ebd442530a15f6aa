"""Routes on which money moves. They are lean: a transfer's way through here costs microseconds."""

from collections.abc import Iterator, Sequence

from litestar import get

from billfold.identity.contracts import Approval, may_be_alias
from billfold.kernel import ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.ledger import errors as ledger_errors
from billfold.platform import web
from billfold.platform.web import Answer, Call, Route
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.contracts import MoneyRequest, Moved, Order, Transfer
from billfold.wallets.rest import answers, examples, later, refusals
from billfold.wallets.rest.bodies import BulkOrder, ExternalOrder, ReversalOrder, TransferOrder

#: A thousand items, each with a long reference and some metadata; with texts at their longest, fewer fit.
BULK_BYTES_MAX = 2 * 1024 * 1024


@get(
    "/transfers/{transfer_id:str}",
    opt=web.operation(
        summary="Get a transfer",
        tag="Transfers",
        scope=contracts.TRANSFERS_READ,
        everybody=contracts.EVERYBODY,
        description="Either side of a transfer can read it; a balance is shown to the owner of its wallet alone.",
        errors=(ids.InvalidId, ledger_errors.TransferUnknown),
        answers=examples.TRANSFER,
    ),
)
async def get_transfer(transfer_id: str, principal: Principal, wallets: Wallets) -> Transfer:
    return await wallets.movements.transfer(principal=principal, transfer_id=ids.parse(transfer_id))


handlers = [get_transfer]


def routes(wallets: Wallets) -> list[Route]:
    """What moves money."""
    return [_transfer(wallets), _bulk(wallets), _reverse(wallets), _deposit(wallets), _withdrawal(wallets)]


def _transfer(wallets: Wallets) -> Route:
    move = wallets.movements.move

    async def transfer(call: Call) -> Answer:
        if call.preferences.respond_async:
            return await later.answer(wallets, call, call.command.order())
        moved = await move(principal=call.principal, order=call.command.order(), key=call.key)
        return Answer(moved.transfer, replayed=moved.replayed)

    return Route(
        method="POST",
        path="/transfers",
        handler=transfer,
        command=TransferOrder,
        answer=Transfer,
        idempotent=True,
        prefers=True,
        status=201,
        operation=web.Operation(
            summary="Move money",
            tag="Transfers",
            scope=contracts.ORDER_SCOPES["transfer"],
            everybody=contracts.OPERATOR,
            description="From one of your wallets to anybody's, named by their ids or by aliases. Ask who an alias is "
            "before, and send the name along as `payee`: if it is another by then, nothing moves. The answer shows the "
            "new balance of wallets of yours.",
            errors=(*refusals.ORDER, *refusals.SUPERVISED, *refusals.LATER, errors.SameWallet),
            defers=Approval,
            responds_async=MoneyRequest,
            answers_async=examples.ACCEPTED,
            sends=examples.ORDER,
            answers=examples.TRANSFER,
        ),
    )


def _bulk(wallets: Wallets) -> Route:
    async def bulk(call: Call) -> Answer:
        orders = call.command.items
        outcomes = await wallets.bulk.move(
            principal=call.principal, orders=orders, atomic=call.command.atomic, key=call.key, step_up=call.step_up
        )
        separate = orders[0].idempotency_key is not None
        replayed = not separate and any(outcome.replayed for outcome in outcomes)
        body = answers.bulk_result(outcomes, separate=separate)
        return Answer(body, replayed=replayed, refused=_refused(orders, outcomes) if body.refused else None)

    return Route(
        method="POST",
        path="/transfers/bulk",
        handler=bulk,
        command=BulkOrder,
        answer=answers.BulkResult,
        idempotent=True,
        stepped_up=True,
        body_max=BULK_BYTES_MAX,
        operation=web.Operation(
            summary="Move money in bulk",
            tag="Transfers",
            scope=contracts.ORDER_SCOPES["transfer"],
            everybody=contracts.OPERATOR,
            description="Up to 1,000 transfers, deposits and withdrawals, and a result for each at its place. A "
            "refused item fails no other, unless the request is `atomic`: then its refusal is the answer, and nothing "
            "is posted. The request's Idempotency-Key covers all of it; items with an `idempotency_key` of their own "
            "are separate requests instead, which can be repeated in any company. Deposits and withdrawals need their "
            "scopes too.",
            errors=(
                *refusals.ORDER,
                *refusals.CROSSING,
                *refusals.STEPPED_UP,
                *refusals.SUPERVISED,
                errors.SameWallet,
                errors.SidesWrong,
                errors.ItemKeysMixed,
                errors.ItemKeysAtomic,
            ),
            defers=Approval,
            sends={"items": [{"kind": "transfer", "from": examples.ADA, "to": examples.BOB, "money": examples.MONEY}]},
            answers={"posted": 1, "refused": 0, "results": [{"transfer": examples.TRANSFER}]},
        ),
    )


def _refused(orders: Sequence[Order], outcomes: Sequence[Moved | BillfoldError]) -> Iterator[web.RefusedPart]:
    """The items that were refused, and what each would have moved. It is made only where an audit is kept."""
    for place, (order, outcome) in enumerate(zip(orders, outcomes, strict=True)):
        if isinstance(outcome, BillfoldError):
            yield (
                outcome,
                {
                    "item": place,
                    "kind": order.kind,
                    "from": order.source,
                    "to": order.target,
                    "amount": order.money.amount,
                    "asset": order.money.asset,
                },
            )


def _named(text: str) -> str:
    """The wallet in a path: an id in its usual form, or one's own alias.

    Raises:
        InvalidId: it is neither.
    """
    return text if may_be_alias(text) else str(ids.parse(text))


def _reverse(wallets: Wallets) -> Route:
    async def reverse(call: Call) -> Answer:
        moved = await wallets.movements.reverse(
            principal=call.principal,
            transfer_id=ids.parse(call.path["transfer_id"]),
            money=call.command.money,
            key=call.key,
            step_up=call.step_up,
        )
        return Answer(moved.transfer, replayed=moved.replayed)

    return Route(
        method="POST",
        path="/transfers/{transfer_id}/reverse",
        handler=reverse,
        command=ReversalOrder,
        answer=Transfer,
        idempotent=True,
        stepped_up=True,
        status=201,
        operation=web.Operation(
            summary="Reverse a transfer",
            tag="Transfers",
            scope=contracts.ORDER_SCOPES["transfer"],
            everybody=contracts.OPERATOR,
            description="Send the money back, or a part of it, by a new transfer. Only who received it can, or an "
            "operator; what went outside comes back with the scope for deposits.",
            errors=(
                ids.InvalidId,
                *refusals.AMOUNT,
                *refusals.POSTING,
                *refusals.STEPPED_UP,
                *refusals.SUPERVISED,
                ledger_errors.AssetMismatch,
                ledger_errors.TransferUnknown,
                ledger_errors.TransferNotReversible,
                ledger_errors.ReversalExceedsTransfer,
                errors.ReversalNotAllowed,
            ),
            defers=Approval,
            sends={"money": examples.MONEY},
            answers=examples.REVERSAL,
        ),
    )


def _deposit(wallets: Wallets) -> Route:
    async def deposit(call: Call) -> Answer:
        order = call.command.deposit(_named(call.path["wallet_id"]))
        if call.preferences.respond_async:
            return await later.answer(wallets, call, order)
        moved = await wallets.movements.move(principal=call.principal, order=order, key=call.key)
        return Answer(moved.transfer, replayed=moved.replayed)

    return Route(
        method="POST",
        path="/wallets/{wallet_id}/deposits",
        handler=deposit,
        command=ExternalOrder,
        answer=Transfer,
        idempotent=True,
        prefers=True,
        status=201,
        operation=web.Operation(
            summary="Deposit money",
            tag="Wallets",
            scope=contracts.ORDER_SCOPES["deposit"],
            everybody=contracts.OPERATOR,
            description="Money that has come from the world outside, with its value date if that was earlier. The "
            "wallet can be named by one of your aliases. Of an asset on a chain that is served only an operator books "
            "it: what arrives there is credited by itself.",
            errors=(*refusals.ORDER, *refusals.CROSSING, *refusals.SUPERVISED, *refusals.LATER),
            defers=Approval,
            responds_async=MoneyRequest,
            answers_async=examples.ACCEPTED | {"kind": "deposit", "from": contracts.OUTSIDE, "to": examples.ADA},
            sends={"money": examples.MONEY, **examples.TEXTS},
            answers=examples.DEPOSIT,
        ),
    )


def _withdrawal(wallets: Wallets) -> Route:
    async def withdraw(call: Call) -> Answer:
        order = call.command.withdrawal(_named(call.path["wallet_id"]))
        if call.preferences.respond_async:
            return await later.answer(wallets, call, order)
        moved = await wallets.movements.move(principal=call.principal, order=order, key=call.key, step_up=call.step_up)
        return Answer(moved.transfer, replayed=moved.replayed)

    return Route(
        method="POST",
        path="/wallets/{wallet_id}/withdrawals",
        handler=withdraw,
        command=ExternalOrder,
        answer=Transfer,
        idempotent=True,
        prefers=True,
        stepped_up=True,
        status=201,
        operation=web.Operation(
            summary="Withdraw money",
            tag="Wallets",
            scope=contracts.ORDER_SCOPES["withdrawal"],
            everybody=contracts.OPERATOR,
            description="Money that leaves for the world outside. The wallet can be named by one of your aliases. Of "
            "an asset on a chain that is served only an operator books it: it is sent by "
            "`POST /wallets/{wallet_id}/chain-withdrawals`.",
            errors=(*refusals.ORDER, *refusals.CROSSING, *refusals.STEPPED_UP, *refusals.SUPERVISED, *refusals.LATER),
            defers=Approval,
            responds_async=MoneyRequest,
            answers_async=examples.ACCEPTED | {"kind": "withdrawal", "to": contracts.OUTSIDE},
            sends={"money": examples.MONEY, **examples.TEXTS},
            answers=examples.WITHDRAWAL,
        ),
    )
