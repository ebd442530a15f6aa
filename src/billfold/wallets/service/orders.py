"""What all orders have in common, one or a thousand: the assets they name, the wallets they name, and their answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from billfold.kernel import idempotency
from billfold.kernel.assets import Asset
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import contracts as ledger
from billfold.ledger import errors as ledger_errors
from billfold.wallets import domain, errors
from billfold.wallets.contracts import Moved, Order
from billfold.wallets.domain import Draft, Side
from billfold.wallets.service.resolution import Named, Resolution

#: Stand for wallets that are not there, or not the caller's. The ledger has no such accounts, refuses the transfer and
#: keeps the refusal at its place, so that a repeated bulk request finds as many answers as it has items.
UNKNOWN_SOURCE = Side(UUID(int=0), "", "", mine=False)
UNKNOWN_TARGET = Side(UUID(int=1), "", "", mine=False)


class Orders:
    """Prepares orders for the ledger."""

    def __init__(self, *, ledger: Ledger, resolution: Resolution) -> None:
        self._ledger = ledger
        self._resolution = resolution

    async def assets(self, codes: Iterable[str]) -> dict[str, Asset]:
        """Those assets that there are. An unknown one is refused where it stands in the request."""
        found = {}
        for code in codes:
            try:
                found[code] = await self._ledger.asset(code=code)
            except ledger_errors.AssetUnknown:
                continue
        return found

    async def sides(self, principal: Principal, drafts: Sequence[Draft]) -> list[tuple[Side, Side]]:
        """Where each order's money leaves and arrives: of anybody's wallets it can only be transferred to one."""
        outside = {asset: await self._resolution.outside(asset) for asset in {d.order.money.asset for d in drafts}}
        owner = principal.owner_id.hex
        recall = self._resolution.recall
        missing: set[Named] = set()
        pairs = []
        for draft in drafts:
            order = draft.order
            asset = order.money.asset
            debit = credit = outside[asset]
            if order.source is not None:
                debit = recall((owner, order.source, asset)) or UNKNOWN_SOURCE
                if debit is UNKNOWN_SOURCE:
                    missing.add((order.source, asset))
            if order.target is not None:
                credit = recall((owner, order.target, asset)) or UNKNOWN_TARGET
                if credit is UNKNOWN_TARGET:
                    missing.add((order.target, asset))
            pairs.append((debit, credit))
        if missing:
            found = await self._resolution.look_up(principal, missing)
            pairs = [_completed(draft.order, pair, found) for draft, pair in zip(drafts, pairs, strict=True)]
        if principal.is_operator:
            return pairs
        return [_permitted(draft.order, pair) for draft, pair in zip(drafts, pairs, strict=True)]


def _completed(order: Order, pair: tuple[Side, Side], found: Mapping[Named, Side]) -> tuple[Side, Side]:
    """The sides of an order with what was looked up."""
    debit, credit = pair
    if debit is UNKNOWN_SOURCE:
        debit = found.get((order.source or "", order.money.asset), UNKNOWN_SOURCE)
    if credit is UNKNOWN_TARGET:
        credit = found.get((order.target or "", order.money.asset), UNKNOWN_TARGET)
    return debit, credit


def _permitted(order: Order, pair: tuple[Side, Side]) -> tuple[Side, Side]:
    """The sides of an order without those wallets that its caller must not touch in this way."""
    debit, credit = pair
    if order.source is not None and not debit.mine:
        debit = UNKNOWN_SOURCE
    if order.kind == "deposit" and not credit.mine:
        credit = UNKNOWN_TARGET
    return debit, credit


def key(principal: Principal, text: str, order: Order) -> idempotency.Key:
    """The key of an order that is a request of its own, alone or among others."""
    return idempotency.key(owner=principal.owner_id, text=text, operation=order.kind, content=domain.content(order))


def new_transfer(draft: Draft, sides: tuple[Side, Side]) -> ledger.NewTransfer:
    """What the ledger is to post."""
    return domain.new_transfer(draft, sides[0].account, sides[1].account)


def outcome(
    result: ledger.Transfer | BillfoldError,
    draft: Draft,
    sides: tuple[Side, Side],
    *,
    principal: Principal,
    replayed: bool,
) -> Moved | BillfoldError:
    """What became of an order, in the words of wallets."""
    if isinstance(result, ledger.Transfer):
        transfer = domain.transfer(
            result,
            sides[0],
            sides[1],
            scale=draft.scale,
            all_seen=principal.is_operator,
            written=draft.money,
        )
        return Moved(transfer, replayed)
    return errors.in_wallet_words(result)
