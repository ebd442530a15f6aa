"""Aliases where wallets are named: what each stands for at this moment, and which wallets its owner has chosen for it.

Nothing of it is remembered, not even for a second: an alias that was released must not get any money that is sent
afterwards. So a payment to an alias asks the database three times more than one to a wallet's id. The way of ids costs
what it did: an order is looked at for aliases only where it names something that is no id.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from typing import TypeVar
from uuid import UUID

import msgspec

from billfold.identity import Identity
from billfold.identity import errors as identity_errors
from billfold.identity.contracts import Found, may_be_alias
from billfold.kernel import forms, idempotency, ids
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.ledger import errors as ledger_errors
from billfold.platform.postgres.database import Database
from billfold.wallets import contracts, errors
from billfold.wallets.contracts import AliasWallets, NewAliasWallets
from billfold.wallets.domain import Draft
from billfold.wallets.store import aliases as store
from billfold.wallets.store.aliases import Wanted


class Payee(msgspec.Struct, frozen=True):
    """Whom an alias stands for, and the wallet in which they get an asset if they have one."""

    owner: Found
    wallet: str | None


T = TypeVar("T", bound=Draft | BillfoldError)
#: An alias as it was named, and an asset's code.
_Named = tuple[str, str]
_Answers = Mapping[_Named, Payee | BillfoldError]


class Aliases:
    """Finds wallets for aliases."""

    def __init__(self, *, database: Database, ledger: Ledger, identity: Identity) -> None:
        self._database = database
        self._ledger = ledger
        self._identity = identity

    async def resolved(
        self, principal: Principal, drafts: Sequence[Draft], keys: Sequence[idempotency.Key]
    ) -> list[Draft | BillfoldError]:
        """The drafts with wallets where their callers have named aliases; or why one can't be had.

        One whose key has an answer stays as it is: the ledger repeats that, wherever the alias leads by now.
        """
        pairs = list(zip(drafts, keys, strict=True))
        answered = await self._ledger.answered(keys={key for draft, key in pairs if draft.by_alias})
        new = [draft.by_alias and key.digest not in answered for draft, key in pairs]
        wanted = {
            (text, draft.order.money.asset)
            for draft in itertools.compress(drafts, new)
            for text in (draft.order.source, draft.order.target)
            if text is not None and may_be_alias(text)
        }
        found = await self._look_up(principal, wanted)
        return [
            await self._counted(principal, _resolved(principal, draft, found)) if is_new else draft
            for draft, is_new in zip(drafts, new, strict=True)
        ]

    async def _counted(self, principal: Principal, answer: T) -> T | BillfoldError:
        """The same, but that naming people wrongly is guessing, of which there is an end."""
        if not isinstance(answer, errors.PayeeMismatch):
            return answer
        refused = await self._identity.aliases.guessed(by=principal)
        if refused is None:
            return answer
        # Where it would be of an alias that is not there.
        refused.pointer = "/to"
        return refused

    async def target(self, principal: Principal, alias: str, asset: str, *, payee: str | None) -> str:
        """The wallet of an alias that is to get money.

        Raises:
            AliasUnknown, AliasHasNoWallet, PayeeMismatch, TooManyAliasRequests, and whatever the text of an alias is
                refused for.
        """
        found = await self._look_up(principal, [(alias, asset)])
        try:
            return _target(found, (alias, asset), payee=payee, pointer="/to")
        except errors.PayeeMismatch as mismatch:
            raise await self._counted(principal, mismatch) from None

    async def own(self, principal: Principal, named: str, asset: str, *, pointer: str) -> str:
        """The id of a wallet of the caller's, which is named by it or by an alias of theirs.

        Raises:
            InvalidId, WalletUnknown, AliasUnknown, AliasHasNoWallet, and whatever the text of an alias is refused for.
        """
        if may_be_alias(named):
            found = await self._look_up(principal, [(named, asset)])
            answer = found[named, asset]
            if isinstance(answer, Payee) and answer.owner.owner_id != principal.owner_id:
                raise identity_errors.AliasUnknown(pointer=pointer)
            return _target(found, (named, asset), pointer=pointer)
        wallet_id = ids.parse(named, pointer=pointer)
        async with self._database.connection() as connection:
            if not await store.not_closed(connection, principal.owner_id, [wallet_id]):
                raise errors.WalletUnknown(pointer=pointer)
        return str(wallet_id)

    async def show(self, *, principal: Principal, alias: str) -> AliasWallets:
        """Which wallets are chosen for one's own alias.

        Raises:
            MissingScope, AliasUnknown, and whatever the text of an alias is refused for.
        """
        principal.require(contracts.READ)
        mine = await self._mine(principal, alias)
        async with self._database.connection() as connection:
            return _view(alias, await store.of_alias(connection, mine.alias_id))

    async def choose(self, *, principal: Principal, alias: str, new: NewAliasWallets) -> AliasWallets:
        """Choose the wallets that get what is sent to one's own alias.

        Raises:
            MissingScope, AliasUnknown, AssetUnknown, InvalidId, and whatever the text of an alias is refused for.
            WalletUnknown: one is not the alias's owner's, or is closed.
        """
        principal.require(contracts.WRITE)
        mine = await self._mine(principal, alias)
        chosen = await self._chosen(new)
        async with self._database.transaction() as connection:
            open_ = await store.not_closed(connection, mine.owner_id, list(chosen.values()))
            for asset, wallet_id in chosen.items():
                if wallet_id not in open_:
                    raise errors.WalletUnknown(pointer=_pointer(asset))
            await store.replace(connection, mine.alias_id, chosen)
        return _view(alias, chosen)

    async def _chosen(self, new: NewAliasWallets) -> dict[str, UUID]:
        chosen = {}
        for asset, wallet in new.by_asset.items():
            try:
                await self._ledger.asset(code=asset)
            except ledger_errors.AssetUnknown:
                raise ledger_errors.AssetUnknown.named(asset, pointer=_pointer(asset)) from None
            chosen[asset] = ids.parse(wallet, pointer=_pointer(asset))
        if new.wallet is not None:
            chosen[store.ANY_ASSET] = ids.parse(new.wallet, pointer=_pointer(store.ANY_ASSET))
        return chosen

    async def _mine(self, principal: Principal, alias: str) -> Found:
        found = (await self._identity.aliases.find(by=principal, aliases=[alias]))[alias]
        if isinstance(found, BillfoldError):
            raise found
        if not _is_theirs(found, principal):
            raise identity_errors.AliasUnknown
        return found

    async def _look_up(self, principal: Principal, named: Collection[_Named]) -> _Answers:
        """Whom each alias stands for and where they get the asset, by two statements; or why that can't be said."""
        if not named:
            return {}
        owners = await self._identity.aliases.find(by=principal, aliases=[alias for alias, _ in named])
        wanted = {
            (alias, asset): Wanted(owner.alias_id, owner.owner_id, asset)
            for alias, asset in named
            if isinstance(owner := owners[alias], Found)
        }
        async with self._database.connection() as connection:
            wallets = await store.wallets_for(connection, list(set(wanted.values())))
        answers: dict[_Named, Payee | BillfoldError] = {}
        for alias, asset in named:
            owner = owners[alias]
            if isinstance(owner, BillfoldError):
                answers[alias, asset] = owner
            else:
                wallet_id = wallets.get(wanted[alias, asset])
                answers[alias, asset] = Payee(owner, None if wallet_id is None else str(wallet_id))
        return answers


def _resolved(principal: Principal, draft: Draft, found: _Answers) -> Draft | BillfoldError:
    """The draft with wallets for its aliases. Of others money can be transferred to them, and nothing else."""
    order, asset = draft.order, draft.order.money.asset
    source, target = order.source, order.target
    try:
        if source is not None and may_be_alias(source):
            source = _target(found, (source, asset), owner=principal, pointer="/from")
        if target is not None and may_be_alias(target):
            owner = None if order.kind == "transfer" else principal
            target = _target(found, (target, asset), owner=owner, payee=order.payee, pointer="/to")
    except BillfoldError as error:
        if order.kind != "transfer":
            error.pointer = None
        return error
    return msgspec.structs.replace(
        draft, order=msgspec.structs.replace(order, source=source, target=target), unresolved=False
    )


def _target(
    found: _Answers, named: _Named, *, owner: Principal | None = None, payee: str | None = None, pointer: str
) -> str:
    """The wallet of an alias: of anybody's, or of the `owner`'s alone."""
    answer = found[named]
    if isinstance(answer, BillfoldError):
        # Several orders may name it, each at a place of its own.
        refusal = copy(answer)
        refusal.pointer = pointer
        raise refusal
    if owner is not None and not _is_theirs(answer.owner, owner):
        raise identity_errors.AliasUnknown(pointer=pointer)
    if payee is not None and payee != answer.owner.payee:
        raise errors.PayeeMismatch(pointer="/payee")
    if answer.wallet is None:
        raise errors.AliasHasNoWallet(pointer=pointer)
    return answer.wallet


def _is_theirs(found: Found, principal: Principal) -> bool:
    return found.owner_id == principal.owner_id or principal.is_operator


def _view(alias: str, chosen: Mapping[str, UUID]) -> AliasWallets:
    texts = {asset: str(wallet_id) for asset, wallet_id in chosen.items()}
    return AliasWallets(alias=alias, wallet=texts.pop(store.ANY_ASSET, None), by_asset=texts)


def _pointer(asset: str) -> str:
    return "/wallet" if asset == store.ANY_ASSET else f"/by_asset/{forms.escaped(asset)}"
