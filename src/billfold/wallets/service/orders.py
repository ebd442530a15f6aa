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
        crossing = {draft.order.money.asset for draft in drafts if draft.order.kind != "transfer"}
        outside = {asset: await self._resolution.outside(asset) for asset in crossing}
        owner = principal.owner_id.hex
        recall = self._resolution.recall
        missing: set[Named] = set()
        pairs: list[tuple[Side | None, Side | None]] = []
        for draft in drafts:
            order = draft.order
            source, target, asset = order.source, order.target, order.money.asset
            debit = outside[asset] if source is None else recall((owner, source, asset))
            credit = outside[asset] if target is None else recall((owner, target, asset))
            if debit is None:
                missing.add((source or "", asset))
            if credit is None:
                missing.add((target or "", asset))
            pairs.append((debit, credit))
        found = await self._resolution.look_up(principal, missing) if missing else {}
        any_wallet = principal.is_operator
        return [
            _permitted(draft.order, debit, credit, found, any_wallet=any_wallet)
            for draft, (debit, credit) in zip(drafts, pairs, strict=True)
        ]


def _permitted(
    order: Order, debit: Side | None, credit: Side | None, found: Mapping[Named, Side], *, any_wallet: bool
) -> tuple[Side, Side]:
    """The sides of an order, those looked up included, without wallets that its caller must not touch in this way."""
    source, target = order.source, order.target
    if debit is None:
        debit = found.get((source or "", order.money.asset), UNKNOWN_SOURCE)
    if credit is None:
        credit = found.get((target or "", order.money.asset), UNKNOWN_TARGET)
    if not any_wallet:
        if source is not None and not debit.mine:
            debit = UNKNOWN_SOURCE
        if source is None and not credit.mine:
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
