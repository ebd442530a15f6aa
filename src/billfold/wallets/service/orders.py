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
from billfold.ledger.errors import LedgerError
from billfold.wallets import domain, errors
from billfold.wallets.contracts import Moved, Order
from billfold.wallets.domain import Draft, Side
from billfold.wallets.service.aliases import Aliases
from billfold.wallets.service.resolution import Named, Resolution

#: Stand for wallets that are not there, or not the caller's. The ledger has no such accounts, refuses the transfer and
#: keeps the refusal at its place, so that a repeated bulk request finds as many answers as it has items.
UNKNOWN_SOURCE = Side(UUID(int=0), "", "", mine=False)
UNKNOWN_TARGET = Side(UUID(int=1), "", "", mine=False)


class Orders:
    """Prepares orders for the ledger."""

    def __init__(
        self, *, ledger: Ledger, resolution: Resolution, aliases: Aliases, chains: frozenset[str] = frozenset()
    ) -> None:
        """`chains` are those whose assets come and go there alone."""
        self._ledger = ledger
        self._chains = chains
        self._resolution = resolution
        #: The drafts with wallets for aliases, or why not; see Aliases.resolved.
        self.all_resolved = aliases.resolved

    async def assets(self, codes: Iterable[str]) -> dict[str, Asset]:
        """Those assets that there are. An unknown one is refused where it stands in the request."""
        found = {}
        for code in codes:
            try:
                found[code] = await self._ledger.asset(code=code)
            except ledger_errors.AssetUnknown:
                continue
        return found

    def drafted(self, principal: Principal, order: Order, assets: Mapping[str, Asset]) -> Draft:
        """An order that was checked for all that it can be checked for by itself.

        Raises: as `domain.draft`, and
            AssetOnChain
        """
        draft = domain.draft(order, assets)
        if order.kind != "transfer":
            self.check_crossing(principal, assets[order.money.asset])
        return draft

    def check_crossing(self, principal: Principal, asset: Asset) -> None:
        """Pass if an asset may come from the world outside, or leave for it, by an entry alone.

        An operator may do that with what is on a chain, too: it is how a difference to the chain is put right.

        Raises:
            AssetOnChain
        """
        if asset.chain in self._chains and not principal.is_operator:
            raise errors.AssetOnChain(pointer="/money/asset")

    async def resolved(self, principal: Principal, draft: Draft, key: idempotency.Key) -> Draft:
        """The same for one.

        Raises:
            AliasUnknown, AliasHasNoWallet, PayeeMismatch, and whatever the text of an alias is refused for.
        """
        (found,) = await self.all_resolved(principal, [draft], [key])
        if isinstance(found, BillfoldError):
            raise found
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
            if draft.unresolved:
                pairs.append((UNKNOWN_SOURCE, UNKNOWN_TARGET))
                continue
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

    async def sides_then(
        self,
        principal: Principal,
        drafts: Sequence[Draft],
        all_sides: list[tuple[Side, Side]],
        results: Sequence[ledger.Transfer | BillfoldError | None],
    ) -> list[tuple[Side, Side]]:
        """The sides of orders that were posted earlier: an alias may have led elsewhere then."""
        posted = {
            place: result
            for place, (draft, result) in enumerate(zip(drafts, results, strict=True))
            if draft.by_alias and isinstance(result, ledger.Transfer)
        }
        accounts = {account for one in posted.values() for account in (one.debit_account, one.credit_account)}
        holders = await self._resolution.holders(principal, accounts)
        then = list(all_sides)
        for place, one in posted.items():
            outside = await self._resolution.outside(one.asset)
            then[place] = (holders.get(one.debit_account, outside), holders.get(one.credit_account, outside))
        return then

    async def transfers(
        self,
        principal: Principal,
        drafts: Sequence[Draft],
        all_sides: list[tuple[Side, Side]],
        keys: Sequence[idempotency.Key],
        *,
        atomic: bool = False,
    ) -> list[ledger.NewTransfer | LedgerError]:
        """What the ledger is to post for each order, under the key at its place.

        Where money arrives that a wallet has never had, its account is opened and put into `all_sides`; but only for
        an order that will be posted, as a rehearsal tells. One that won't be is answered with its refusal instead.
        """
        new: list[ledger.NewTransfer | LedgerError] = list(map(_new_transfer, drafts, all_sides))
        missing = {side for sides in all_sides for side in sides if side.unopened is not None}
        if not missing:
            return new
        answered = await self._ledger.answered(keys=keys)
        places = [place for place, key in enumerate(keys) if key.digest not in answered]
        results = await self._rehearse([(drafts[place], all_sides[place]) for place in places], missing, atomic=atomic)
        posted = [place for place, result in zip(places, results, strict=True) if isinstance(result, ledger.Transfer)]
        arriving = missing.intersection(side for place in posted for side in all_sides[place])
        opened = await self._resolution.open_sides(principal, arriving) if arriving else {}
        for place, result in zip(places, results, strict=True):
            source, target = (opened.get(side.account, side) for side in all_sides[place])
            all_sides[place] = (source, target)
            new[place] = _new_transfer(drafts[place], all_sides[place])
            nowhere = source.unopened is not None or target.unopened is not None
            if isinstance(result, LedgerError) and (atomic or nowhere):
                new[place] = result
        return new

    async def _rehearse(
        self, prepared: Sequence[tuple[Draft, tuple[Side, Side]]], missing: Iterable[Side], *, atomic: bool
    ) -> Sequence[ledger.Transfer | LedgerError]:
        """What would become of the orders if the missing accounts were there."""
        if not prepared:
            return ()
        return await self._ledger.rehearse(
            transfers=[_new_transfer(draft, sides) for draft, sides in prepared],
            unopened=[unopened(side) for side in missing],
            atomic=atomic,
        )


def unopened(side: Side) -> ledger.Unopened:
    """The account that an unopened side would have."""
    assert side.unopened is not None, "it is opened"
    return ledger.Unopened(id=side.account, asset=side.asset, status=side.unopened)


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


def _new_transfer(draft: Draft, sides: tuple[Side, Side]) -> ledger.NewTransfer:
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
            all_seen=principal.sees_everybody,
            written=draft.money,
        )
        return Moved(transfer, replayed)
    return errors.in_wallet_words(result)
