"""Requests for payment: somebody asks an alias for money, and whoever has it pays, or doesn't.

Whether a request was paid is decided by its key in the ledger: whoever answers that first, a payment or its end, has
decided for ever, however many try at once. A refusal, for want of money perhaps, answers every repeat of its attempt,
so the next attempt has a number of its own; it is made only when all before it are known to be refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from billfold.identity import Identity
from billfold.kernel import clock, idempotency, ids, money, paging
from billfold.kernel.clock import Clock
from billfold.kernel.errors import BillfoldError
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database
from billfold.wallets import contracts, domain, errors, events
from billfold.wallets.contracts import Moved, NewPaymentRequest, Order, PaymentRequest, RequestDirection, Transfer
from billfold.wallets.service.aliases import Aliases
from billfold.wallets.service.movements import Movements
from billfold.wallets.service.orders import Orders
from billfold.wallets.store import payment_requests as store
from billfold.wallets.store.payment_requests import Row

#: Owns the keys of payments in the ledger, so that no caller's own key can be in their way.
_KEYS_OF: Final = UUID("5d0a7c0e-6c55-5a43-8f0f-0d3b0a6f7e21")
_SCOPE = contracts.ORDER_SCOPES["transfer"]


class PaymentRequests:
    """Use cases about requests for payment."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        identity: Identity,
        orders: Orders,
        aliases: Aliases,
        movements: Movements,
        clock: Clock,
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._identity = identity
        self._orders = orders
        self._aliases = aliases
        self._movements = movements
        self._clock = clock

    async def create(self, *, principal: Principal, new: NewPaymentRequest, key: str) -> tuple[PaymentRequest, bool]:
        """Ask whoever has an alias for money; and whether this answers a repeated request.

        Raises:
            MissingScope, AliasUnknown, PayerIsYou, WalletUnknown, TooManyPaymentRequests, ExpiryInPast, ExpiryTooLate,
            InvalidInstant, IdempotencyKeyReused, and whatever is wrong with the amount or the text of an alias.
        """
        principal.require(_SCOPE)
        ours = idempotency.key(
            owner=principal.owner_id, text=key, operation="ask for payment", content=domain.content_of(new)
        )
        async with self._database.connection() as connection:
            known = await store.earlier(connection, ours)
        if known is not None:
            return await self._repeated(principal, *known, ours), True
        row = await self._row(principal, new)
        async with self._database.transaction() as connection:
            await store.lock(connection, principal.owner_id)
            known = await store.earlier(connection, ours)
            if known is None:
                await self._insert(connection, row, ours)
        if known is not None:
            return await self._repeated(principal, *known, ours), True
        return await self._view(principal, row), False

    async def _insert(self, connection: Connection, row: Row, key: idempotency.Key) -> None:
        to_payer, all_ = await store.count_open(connection, row.owner_id, payer=row.payer_id, now=row.created_at)
        if to_payer >= contracts.OPEN_PER_PAYER_MAX or all_ >= contracts.OPEN_MAX:
            raise errors.TooManyPaymentRequests
        await store.insert(connection, row, key)
        await self._tell(connection, "payment_request.created.v1", row)

    async def _repeated(self, principal: Principal, row: Row, fingerprint: int, key: idempotency.Key) -> PaymentRequest:
        if fingerprint != key.fingerprint:
            raise idempotency.IdempotencyKeyReused
        return await self._view(principal, row)

    async def _row(self, principal: Principal, new: NewPaymentRequest) -> Row:
        units, _ = domain.positive_units(new.money, await self._orders.assets([new.money.asset]))
        now = self._clock.now()
        payer = (await self._identity.aliases.find(by=principal, aliases=[new.payer]))[new.payer]
        if isinstance(payer, BillfoldError):
            payer.pointer = "/from"
            raise payer
        if payer.owner_id == principal.owner_id:
            raise errors.PayerIsYou(pointer="/from")
        return Row(
            id=ids.new(),
            owner_id=principal.owner_id,
            payer_id=payer.owner_id,
            alias=payer.shown,
            wallet_id=UUID(await self._aliases.own(principal, new.target, new.money.asset, pointer="/to")),
            asset=new.money.asset,
            units=units,
            reference=new.reference,
            description=new.description,
            created_at=now,
            expires_at=_expiry(new.expires_at, now),
            status="open",
        )

    async def page(
        self,
        *,
        principal: Principal,
        direction: RequestDirection,
        only_open: bool = False,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> paging.Page[PaymentRequest]:
        """What one is asked for, or asks for; the newest first.

        Raises:
            MissingScope, InvalidCursor, InvalidLimit
        """
        principal.require(contracts.TRANSFERS_READ)
        size = paging.check_limit(limit)
        before = None if cursor is None else paging.decode(cursor, UUID)
        async with self._database.connection() as connection:
            found = await store.page(
                connection,
                owner=principal.owner_id,
                incoming=direction == "incoming",
                only_open=only_open,
                before=before,
                now=self._clock.now(),
                limit=size + 1,
            )
        items = await self._views(principal, found[:size])
        return paging.Page(items, paging.encode(found[size - 1].id) if len(found) > size else None)

    async def request(self, *, principal: Principal, request_id: UUID) -> PaymentRequest:
        """One that one asks for, or is asked.

        Raises:
            MissingScope, PaymentRequestUnknown
        """
        principal.require(contracts.TRANSFERS_READ)
        return await self._view(principal, await self._find(principal, request_id))

    async def pay(self, *, principal: Principal, request_id: UUID, source: str) -> Moved:
        """Pay what one is asked for, once; paying it again is answered with the same transfer.

        Raises:
            MissingScope, PaymentRequestUnknown, WalletUnknown, and whatever refuses a transfer.
            PaymentRequestEnded: it was declined or cancelled, or its time is over.
        """
        principal.require(_SCOPE)
        row = await self._find(principal, request_id)
        if row.payer_id != principal.owner_id:
            raise errors.PaymentRequestUnknown
        if row.transfer_id is not None:
            return Moved(await self._seen(principal, row.transfer_id), replayed=True)
        if self._status(row) != "open":
            raise errors.PaymentRequestEnded
        order = Order(
            source=await self._aliases.own(principal, source, row.asset, pointer="/from"),
            target=str(row.wallet_id),
            money=await self._money(row),
            reference=row.reference,
            description=row.description,
            metadata={"payment_request": str(row.id)},
        )
        result = await self._post(principal, row, order)
        if isinstance(result, ledger_errors.Voided):
            raise errors.PaymentRequestEnded
        if isinstance(result, BillfoldError):
            raise errors.in_wallet_words(result)
        await self._end(row, "paid", transfer_id=result.id)
        return Moved(await self._seen(principal, result.id))

    async def _post(self, principal: Principal, row: Row, order: Order) -> ledger.Transfer | ledger_errors.LedgerError:
        draft = domain.draft(order, await self._orders.assets([row.asset]))
        attempt = 0
        while True:
            key = _key(row, attempt)
            all_sides = await self._orders.sides(principal, [draft])
            transfers = await self._orders.transfers(principal, [draft], all_sides, [key])
            posting = await self._ledger.post(key=key, transfers=transfers)
            result = posting.results[0]
            is_last = isinstance(result, ledger.Transfer | ledger_errors.Voided) or not posting.replayed
            if is_last:
                return result
            attempt += 1

    async def decline(self, *, principal: Principal, request_id: UUID) -> PaymentRequest:
        """Say that one does not pay. Declining again changes nothing.

        Raises:
            MissingScope, PaymentRequestUnknown, PaymentRequestEnded
        """
        return await self._stop(principal, request_id, "declined")

    async def cancel(self, *, principal: Principal, request_id: UUID) -> PaymentRequest:
        """Take back what one has asked for. Cancelling again changes nothing.

        Raises:
            MissingScope, PaymentRequestUnknown, PaymentRequestEnded
        """
        return await self._stop(principal, request_id, "cancelled")

    async def _stop(
        self, principal: Principal, request_id: UUID, status: Literal["declined", "cancelled"]
    ) -> PaymentRequest:
        principal.require(_SCOPE)
        row = await self._find(principal, request_id)
        if principal.owner_id != (row.payer_id if status == "declined" else row.owner_id):
            raise errors.PaymentRequestUnknown
        if row.status == status:
            return await self._view(principal, row)
        if row.status != "open":
            raise errors.PaymentRequestEnded
        result = await self._void(row)
        if isinstance(result, ledger.Transfer):
            await self._end(row, "paid", transfer_id=result.id)
            raise errors.PaymentRequestEnded("It has been paid.")
        await self._end(row, status, transfer_id=None)
        ended = await self._find(principal, request_id)
        if ended.status != status:
            raise errors.PaymentRequestEnded
        return await self._view(principal, ended)

    async def _void(self, row: Row) -> ledger.Transfer | ledger_errors.LedgerError:
        attempt = 0
        while True:
            posting = await self._ledger.void(key=_key(row, attempt))
            result = posting.results[0]
            if isinstance(result, ledger.Transfer | ledger_errors.Voided):
                return result
            attempt += 1

    async def _end(
        self, row: Row, status: Literal["paid", "declined", "cancelled"], *, transfer_id: UUID | None
    ) -> None:
        """Write down what the ledger has decided; whoever was first has done so already."""
        async with self._database.transaction() as connection:
            ended = await store.end(connection, row.id, status=status, transfer_id=transfer_id, now=self._clock.now())
            if ended is not None:
                await self._tell(connection, _ENDS[status], ended)

    async def _find(self, principal: Principal, request_id: UUID) -> Row:
        async with self._database.connection() as connection:
            found = await store.find(connection, request_id, owner=principal.owner_id)
        if found is None:
            raise errors.PaymentRequestUnknown
        return found

    async def _seen(self, principal: Principal, transfer_id: UUID) -> Transfer:
        return await self._movements.seen(principal, await self._ledger.transfer(transfer_id=transfer_id))

    async def _view(self, principal: Principal, row: Row) -> PaymentRequest:
        return (await self._views(principal, [row]))[0]

    async def _views(self, principal: Principal, rows: Sequence[Row]) -> list[PaymentRequest]:
        names = await self._identity.aliases.names({row.owner_id for row in rows})
        return [
            PaymentRequest(
                id=row.id,
                direction="outgoing" if row.owner_id == principal.owner_id else "incoming",
                payer=row.alias,
                payee=names[row.owner_id],
                target=str(row.wallet_id) if row.owner_id == principal.owner_id else None,
                money=await self._money(row),
                reference=row.reference,
                description=row.description,
                status=self._status(row),
                created_at=row.created_at,
                expires_at=row.expires_at,
                ended_at=row.ended_at,
                transfer_id=row.transfer_id,
            )
            for row in rows
        ]

    async def _money(self, row: Row) -> Money:
        asset = await self._ledger.asset(code=row.asset)
        return Money(money.format(row.units, asset.scale), row.asset)

    def _status(self, row: Row) -> contracts.PaymentRequestStatus:
        if row.status == "open" and row.expires_at <= self._clock.now():
            return "expired"
        return row.status

    async def _tell(self, connection: Connection, kind: events.PaymentRequestEventType, row: Row) -> None:
        asked = await self._money(row)
        event = events.payment_request_event(
            event_id=str(ids.new()),
            kind=kind,
            request_id=row.id,
            owner_id=row.owner_id,
            payer_id=row.payer_id,
            money=asked,
            transfer_id=row.transfer_id,
            time=self._clock.now(),
        )
        told = events.PaymentRequestRecorded(payment_request_id=row.id, money=asked, transfer_id=row.transfer_id)
        await outbox.append(connection, event, fact=told)


_ENDS: Final[dict[str, events.PaymentRequestEventType]] = {
    "paid": "payment_request.paid.v1",
    "declined": "payment_request.declined.v1",
    "cancelled": "payment_request.cancelled.v1",
}


def _key(row: Row, attempt: int) -> idempotency.Key:
    """The key under which a request is paid, or never is. Whichever wallet it is paid from, it is the same payment."""
    return idempotency.key(owner=_KEYS_OF, text=f"{row.id}/{attempt}", operation="pay a request", content=row.id.bytes)


def _expiry(text: str | None, now: datetime) -> datetime:
    if text is None:
        return now + timedelta(days=contracts.DAYS_OPEN)
    expires_at = clock.parse(text, pointer="/expires_at")
    if expires_at <= now:
        raise ledger_errors.ExpiryInPast(pointer="/expires_at")
    if expires_at > now + timedelta(days=contracts.DAYS_OPEN_MAX):
        raise errors.ExpiryTooLate(pointer="/expires_at")
    return expires_at
