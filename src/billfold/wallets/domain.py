"""The rules of wallets: what an order must say, and in whose words it is answered. No I/O, clock or randomness."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import blake2b
from uuid import UUID

import msgspec

from billfold.identity.contracts import may_be_alias
from billfold.kernel import clock, forms, ids, money
from billfold.kernel import errors as kernel_errors
from billfold.kernel.assets import Asset
from billfold.kernel.money import Money
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import contracts, errors
from billfold.wallets.contracts import ConfirmedTransaction, NewWallet, Order
from billfold.wallets.contracts.pictures import Kept

_ENCODER = msgspec.json.Encoder(order="deterministic")
_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_STEP = re.compile(r"([1-9][0-9]{0,5})([smhdw])", re.ASCII)
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


class Side(msgspec.Struct, frozen=True, gc=False):
    """Where a wallet keeps an asset, as one caller sees it; or the world outside."""

    account: UUID
    #: The wallet's id in its usual text form, or "outside".
    wallet: str
    asset: str
    #: Whether the caller owns the wallet.
    mine: bool
    #: The wallet's status if it has no such account yet; `account` is then one that is not there.
    unopened: contracts.WalletStatus | None = None


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An order whose own words are in order: what is left to find are the accounts."""

    order: Order
    units: int
    scale: int
    #: The order's, written with all decimals, as it is in answers.
    money: Money
    effective_at: datetime | None
    #: Whether its caller has named an alias, and whether that still stands where a wallet's id should.
    by_alias: bool = False
    unresolved: bool = False


def draft(order: Order, assets: Mapping[str, Asset]) -> Draft:
    """Check all that an order can be checked for by itself. An error's pointer is into the order.

    Raises:
        SidesWrong, SameWallet, InvalidId, PayeeNotAsked, AssetUnknown, InvalidAmount, AmountTooPrecise, AmountTooLarge,
        AmountNotPositive, InvalidInstant
    """
    by_alias = _check_sides(order)
    units, scale = positive_units(order.money, assets)
    effective_at = None
    if order.effective_at is not None:
        effective_at = clock.parse(order.effective_at, pointer="/effective_at")
    return Draft(order, units, scale, _in_full(order.money, units, scale), effective_at, by_alias, by_alias)


def _in_full(given: Money, units: int, scale: int) -> Money:
    """The same money with all its decimals; mostly it has them already, which spares writing it again."""
    text = given.amount
    if scale == 0 or text[-scale - 1 : -scale] == ".":
        return given
    return Money(money.format(units, scale), given.asset)


def _check_sides(order: Order) -> bool:
    """Whether an order names an alias, if its sides are what they may be."""
    source, target = order.source, order.target
    if (source is None) != (order.kind == "deposit") or (target is None) != (order.kind == "withdrawal"):
        raise errors.SidesWrong
    by_alias = to_alias = False
    if source is not None and not _ID.fullmatch(source):
        by_alias = _check_alias(source, "/from")
    if target is not None and not _ID.fullmatch(target):
        by_alias = to_alias = _check_alias(target, "/to")
    if order.payee is not None and not to_alias:
        raise errors.PayeeNotAsked(pointer="/payee")
    if source == target:
        raise errors.SameWallet(pointer="/to")
    return by_alias


def _check_alias(text: str, pointer: str) -> bool:
    if not may_be_alias(text):
        raise ids.InvalidId(pointer=pointer)
    return True


def positive_units(amount: Money, assets: Mapping[str, Asset]) -> tuple[int, int]:
    """Smallest units of money that is to be moved or held, and the asset's scale.

    Raises:
        AssetUnknown, InvalidAmount, AmountTooPrecise, AmountTooLarge, AmountNotPositive
    """
    asset = assets.get(amount.asset)
    if asset is None:
        raise ledger_errors.AssetUnknown.named(amount.asset, pointer="/money/asset")
    units = money.parse(amount.amount, asset.scale, pointer="/money/amount")
    if units <= 0:
        raise ledger_errors.AmountNotPositive(pointer="/money/amount")
    return units, asset.scale


def content(order: Order) -> bytes:
    """What an idempotency key stands for: the same order gives the same bytes, however its JSON was written.

    An alias counts as it was sent: the same request stays the same when it leads elsewhere.
    """
    return _ENCODER.encode(
        (
            order.kind,
            order.source,
            order.target,
            order.money.amount,
            order.money.asset,
            order.reference,
            order.description,
            order.metadata,
            order.effective_at,
            order.payee,
        )
    )


def content_of_all(orders: Sequence[Order]) -> bytes:
    """The same for many orders under one key."""
    return _ENCODER.encode(orders)


def content_of(*parts: object) -> bytes:
    """The canonical bytes of any other request."""
    return _ENCODER.encode(parts)


def new_transfer(draft: Draft, debit: UUID, credit: UUID) -> ledger.NewTransfer:
    """What the ledger is to post for an order."""
    order = draft.order
    return ledger.NewTransfer(
        debit_account=debit,
        credit_account=credit,
        amount=draft.units,
        asset=order.money.asset,
        kind=order.kind,
        reference=order.reference,
        description=order.description,
        metadata=order.metadata,
        effective_at=draft.effective_at,
    )


def transfer(
    posted: ledger.Transfer, debit: Side, credit: Side, *, scale: int, all_seen: bool, written: Money | None = None
) -> contracts.Transfer:
    """A posted transfer as its caller may see it: a balance only of a wallet of theirs (`all_seen` for operators).

    `written` is its money if that has been written already.
    """
    from_seen, to_seen = _seen(debit, all_seen), _seen(credit, all_seen)
    return contracts.Transfer(
        id=posted.id,
        kind=posted.kind,
        source=debit.wallet,
        target=credit.wallet,
        money=written or Money(money.format(posted.amount, scale), posted.asset),
        reference=posted.reference,
        description=posted.description,
        metadata=posted.metadata,
        effective_at=posted.effective_at,
        recorded_at=posted.recorded_at,
        from_version=posted.debit_version if from_seen else None,
        to_version=posted.credit_version if to_seen else None,
        from_balance=money.format(posted.debit_balance, scale) if from_seen else None,
        to_balance=money.format(posted.credit_balance, scale) if to_seen else None,
    )


def _seen(side: Side, all_seen: bool) -> bool:  # noqa: FBT001 - called once for each side of every transfer.
    return side.mine or (all_seen and side.wallet != contracts.OUTSIDE)


def hold(found: ledger.Hold, *, wallet: str, scale: int) -> contracts.Hold:
    """A hold in the words of wallets."""
    return contracts.Hold(
        id=found.id,
        wallet=wallet,
        money=Money(money.format(found.amount, scale), found.asset),
        settled=money.format(found.settled, scale),
        remaining=money.format(found.remaining, scale),
        status=found.status,
        reference=found.reference,
        description=found.description,
        expires_at=found.expires_at,
        created_at=found.created_at,
        ended_at=found.ended_at,
    )


def balance(account: ledger.Account | Kept, *, scale: int) -> contracts.Balance:
    """What is in one account of a wallet."""
    return contracts.Balance(
        asset=account.asset,
        posted=money.format(account.posted, scale),
        held=money.format(account.held, scale),
        available=money.format(account.available, scale),
        credit_limit=money.format(-(account.floor or 0), scale),
        version=account.version,
    )


def entries(posted: ledger.Transfer) -> tuple[ledger.Entry, ledger.Entry]:
    """Both sides of a transfer, the one that the money left first."""
    debit = ledger.Entry(
        transfer_id=posted.id,
        account=posted.debit_account,
        version=posted.debit_version,
        amount=-posted.amount,
        balance=posted.debit_balance,
        counterparty=posted.credit_account,
        kind=posted.kind,
        reference=posted.reference,
        description=posted.description,
        metadata=posted.metadata,
        effective_at=posted.effective_at,
        recorded_at=posted.recorded_at,
    )
    credit = msgspec.structs.replace(
        debit,
        account=posted.credit_account,
        version=posted.credit_version,
        amount=posted.amount,
        balance=posted.credit_balance,
        counterparty=posted.debit_account,
    )
    return debit, credit


def transaction(entry: ledger.Entry, *, wallet: str, counterparty: str, asset: Asset) -> contracts.Transaction:
    """An entry of a wallet's account, as its holder sees it."""
    return contracts.Transaction(
        id=entry.transfer_id,
        wallet=wallet,
        kind=entry.kind,
        direction="in" if entry.amount > 0 else "out",
        money=Money(money.format(abs(entry.amount), asset.scale), asset.code),
        balance=money.format(entry.balance, asset.scale),
        counterparty=counterparty,
        status="completed",
        reference=entry.reference,
        description=entry.description,
        metadata=entry.metadata,
        effective_at=entry.effective_at,
        recorded_at=entry.recorded_at,
    )


def summary(sums: ledger.EntrySummary, *, asset: Asset) -> contracts.Summary:
    """The sums of a wallet holder's transactions in one asset."""
    return contracts.Summary(
        asset=asset.code,
        count=sums.count,
        received=money.format(sums.credited, asset.scale),
        sent=money.format(sums.debited, asset.scale),
        net=money.format(sums.credited - sums.debited, asset.scale),
    )


def created_with(new: NewWallet) -> UUID:
    """A digest of what a wallet is created with (its external_id aside, by which it is found)."""
    return UUID(bytes=blake2b(content_of(new.name, new.metadata), digest_size=16).digest())


def what_is_left(accounts: Iterable[ledger.Account], assets: Mapping[str, Asset]) -> str:
    """A sentence for whoever wants to close a wallet: which money has to leave first."""
    left = contents(accounts, assets)
    return f"The wallet still has {left}; move it out and settle or release its holds first."


def contents(accounts: Iterable[ledger.Account], assets: Mapping[str, Asset]) -> str:
    """What is in a wallet, such as 12.34 USD; nothing if it is empty."""
    parts = []
    for account in accounts:
        if account.posted or account.held:
            scale = assets[account.asset].scale
            held = f" ({money.format(account.held, scale)} of it held)" if account.held else ""
            parts.append(f"{money.format(account.posted, scale)} {account.asset}{held}")
    return ", ".join(parts)


def step(text: str) -> timedelta:
    """The length of time that `text` such as 1d or 6h names.

    Raises:
        StepWrong: another form.
    """
    match = _STEP.fullmatch(text)
    if match is None:
        raise errors.StepWrong(pointer="step")
    return int(match[1]) * _UNITS[match[2]]


def order_of(confirmed: ConfirmedTransaction) -> Order:
    """A confirmed transaction as the order that brings it into the wallet.

    Raises:
        Invalid: a text is longer than it may be, or has a character that can't be stored.
    """
    side = "to" if confirmed.direction == "credit" else "from"
    try:
        return msgspec.convert(
            {
                "kind": "deposit" if side == "to" else "withdrawal",
                side: confirmed.wallet,
                "money": {"amount": confirmed.amount, "asset": confirmed.asset},
                "reference": confirmed.reference,
                "description": confirmed.description,
                "effective_at": confirmed.effective_at,
            },
            Order,
        )
    except msgspec.ValidationError as error:
        raise kernel_errors.Invalid(forms.said(error)) from error


def sender_key(confirmed: ConfirmedTransaction) -> str:
    """The idempotency key of a confirmed transaction: senders' ids may be any text, so they are digested."""
    named = content_of(confirmed.source, confirmed.id, confirmed.attempt)
    return blake2b(named, digest_size=32).hexdigest()


#: The pause before the second try of a request, and the longest one: what is unavailable is mostly back in seconds.
_RETRY_PAUSE_S = 0.5
_RETRY_PAUSE_MAX_S = 60.0
#: Doubled so often the first is longer than the longest.
_DOUBLINGS_MAX = 7


def retry_pause(tries: int, luck: float) -> timedelta:
    """How long a request waits that was tried so often in vain: twice as long each time.

    `luck` from 0 to 1 shortens it by up to a half, so that those that failed together don't come back together.
    """
    pause_s = min(_RETRY_PAUSE_S * 2 ** min(tries - 1, _DOUBLINGS_MAX), _RETRY_PAUSE_MAX_S)
    return timedelta(seconds=pause_s * (1 - luck / 2))
