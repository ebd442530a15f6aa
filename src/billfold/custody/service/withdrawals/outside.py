"""Step 5 of a withdrawal where the keys are elsewhere: what is built waits, is handed out, and comes back signed.

Until it is handed out nobody can have signed it, so it is dropped as any other that is not signed. From then on
somebody may, whatever else happens. So it is looked for on its chain (`seeking`), and given up by proof alone that it
never happens, or by the word of an operator where its chain can't say; and what comes back is exactly what went out, or
is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from billfold.chains.errors import ChainError, NodeWrong
from billfold.chains.outside_port import Outside, PublicKey
from billfold.chains.port import Allocation, Chain, Fate, Signed
from billfold.chains.signing_port import Place
from billfold.custody import errors
from billfold.custody.contracts.elsewhere import Accepted, Exported, KeyNeeded, Unsigned, UnsignedPayment
from billfold.custody.events import SOURCE
from billfold.custody.service.withdrawals import halting
from billfold.custody.service.withdrawals.ending import Ending
from billfold.custody.service.withdrawals.parts import REPLACEMENTS_MAX, Parts
from billfold.custody.store import allocations, elsewhere, queue, sources
from billfold.custody.store import unsigned as store
from billfold.custody.store.allocations import AllocationRow
from billfold.custody.store.queue import Tx
from billfold.kernel import clock, money
from billfold.kernel.assets import Asset
from billfold.kernel.money import Money
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection

#: Where a transaction has time bounds it counts for so long from when it was handed out: Stellar's adapter lets none
#: live for more than a day.
SIGNED_WITHIN = timedelta(hours=12)
#: So many are listed.
LISTED_MAX = 100


class Looked(msgspec.Struct, frozen=True):
    """What whoever gives a transaction up has seen of it."""

    chain: str
    #: When it was handed out, as text; empty if it never was.
    exported: str


class HandingOut:
    """Hands transactions out, and takes them back."""

    def __init__(self, parts: Parts, ending: Ending) -> None:
        self._parts = parts
        self._ending = ending

    async def waiting(self, *, chain: str) -> list[Unsigned]:
        """What waits for signatures on a chain, the oldest first, at most LISTED_MAX.

        Raises:
            ChainUnknown
        """
        self._parts.chain(chain)
        if chain not in self._parts.outside:
            return []
        async with self._parts.database.connection() as connection:
            found = await store.waiting(connection, chain, limit=LISTED_MAX)
            return [await self._shown(connection, tx) for tx in found]

    async def export(self, *, tx_id: UUID) -> Exported:
        """Hand one out to be signed. Again it is the same, as long as it can happen.

        Raises:
            UnsignedUnknown, UnsignedGone, NodeUnavailable, NodeWrong.
        """
        tx, chain, outside = await self._found(tx_id)
        if tx.exported_at is None and await halting.halted(self._parts, [tx.allocation_id]):
            raise errors.UnsignedGone("What it pays may not leave now, and waits.")
        renewed = await self._renewed(chain, tx) if outside.EXPIRES and tx.exported_at is None else None
        async with self._parts.database.transaction() as connection:
            if renewed is not None and renewed[0].endures:
                await allocations.lock_chain(connection, chain.name)
            row, tx = await self._locked(connection, tx)
            if renewed is not None and tx.exported_at is None:
                await self._check_free(connection, chain, renewed[0])
                # Nobody has seen the bytes before, so nobody can have signed them.
                row, tx = msgspec.structs.replace(renewed[0], fence=row.fence), renewed[1]
                await store.renew(connection, row)
                now = self._parts.now()
                await queue.change_tx(connection, tx.id, state="built", now=now, payload=tx.payload, fee_max=tx.fee_max)
            assert tx.payload is not None, "it is built"
            name = outside.named(tx.payload)
            if name is not None:
                await queue.note_own(connection, chain.name, name)
            await store.exported(connection, tx.id, now=self._parts.now())
            await self._told(connection, "custody.transaction_exported.v1", tx)
            exported = await store.find(connection, tx.id)
            assert exported is not None, "it is locked"
            return await self._handed_out(connection, chain, outside, row, exported)

    async def accept(self, *, tx_id: UUID, signed: str) -> Accepted:
        """Take what was signed elsewhere, to be sent. The same again is no change.

        Raises:
            UnsignedUnknown, UnsignedGone, SignedAlready
            SignedUnreadable, SignedDiffers, SignatureMissing, SignatureWrong.
        """
        tx, chain, outside = await self._found(tx_id)
        if tx.payload is None:
            raise errors.UnsignedGone
        found = await asyncio.to_thread(outside.accepted, tx.payload, signed, network=chain.network)
        async with self._parts.database.transaction() as connection:
            if not await self._has(connection, tx, found):
                await self._store(connection, tx, found)
        return Accepted(id=tx.id, chain=chain.name, chain_tx=found.chain_tx)

    async def look(self, *, tx_id: UUID) -> Looked:
        """What there is to say of one before it is given up.

        Raises:
            UnsignedUnknown
        """
        tx, _, _ = await self._found(tx_id)
        return Looked(chain=tx.chain, exported=_exported(tx))

    async def discard(
        self,
        *,
        tx_id: UUID,
        exported: str | None = None,
        concluded: Callable[[Connection], Awaitable[bool]] | None = None,
    ) -> None:
        """Give one up. While it may still happen another takes its place that uses up the same, so one at most can.

        The word of an operator is only taken where nodes can't say whether it was sent. It is done if what is
        `concluded` in the same database transaction is to be done, and, of a word that was given before, if it is
        still `exported` as it was then: who knew of no bytes that somebody may sign has said nothing about them.

        Raises:
            UnsignedUnknown, NodeUnavailable, NodeWrong
            UnsignedGone: it waits no more, or was exported since.
            UnsignedOnChain: the chain says that somebody has sent it.
            UnsignedMayHappen: it may, and nothing can be put in its place before its time is over.
        """
        tx, chain, _ = await self._found(tx_id)
        loose = await self._loose(tx)
        may_happen = await self._may_happen(chain, tx, loose)
        async with self._parts.database.transaction() as connection:
            await allocations.lock_chain(connection, chain.name)
            if concluded is not None and not await concluded(connection):
                return
            row, tx = await self._locked(connection, tx, forsaken=True)
            if exported is not None and exported != _exported(tx):
                raise errors.UnsignedGone("It was exported since somebody asked for this; look at it, and ask again.")
            if [one.id for one in await queue.txs(connection, row.id) if one.is_loose] != [one.id for one in loose]:
                raise errors.UnsignedGone("Something was handed out or in at this moment; try again.")
            if tx.state == "built":
                await self._ending.drop(connection, chain, row, tx, reason="discarded", replace=may_happen)
            elif may_happen:
                raise errors.UnsignedMayHappen
            else:
                await self._ending.buried(connection, row, reason="discarded")
            await self._told(connection, "custody.transaction_discarded.v1", tx)

    async def _loose(self, tx: Tx) -> list[Tx]:
        async with self._parts.database.connection() as connection:
            txs = await queue.txs(connection, tx.allocation_id)
        if len(txs) > REPLACEMENTS_MAX:
            raise errors.UnsignedMayHappen("It was replaced so often that no more is done; sign what waits.")
        return [one for one in txs if one.is_loose]

    async def _may_happen(self, chain: Chain, tx: Tx, loose: Sequence[Tx]) -> bool:
        """Whether any that was handed out may still be mined, as the chain says.

        Raises:
            UnsignedOnChain, UnsignedMayHappen, NodeUnavailable, NodeWrong.
        """
        allocation = await self._content(tx)
        fates = [(await chain.seek(one.payload, allocation)).fate for one in loose if one.payload is not None]
        if Fate.PENDING in fates or Fate.MINED in fates:
            raise errors.UnsignedOnChain
        if Fate.UNSEEN in fates and chain.model == "recent_block" and not allocation.endures:
            raise errors.UnsignedMayHappen
        return Fate.UNSEEN in fates

    async def _found(self, tx_id: UUID) -> tuple[Tx, Chain, Outside]:
        async with self._parts.database.connection() as connection:
            tx = await store.find(connection, tx_id)
        if tx is None or tx.chain not in self._parts.outside or tx.chain not in self._parts.chains:
            raise errors.UnsignedUnknown
        return tx, self._parts.chains[tx.chain], await self._outside(tx.chain)

    async def _outside(self, chain: str) -> Outside:
        # The first call imports the chain's libraries.
        return await asyncio.to_thread(self._parts.outside[chain])

    async def _locked(self, connection: Connection, tx: Tx, *, forsaken: bool = False) -> tuple[AllocationRow, Tx]:
        """Its allocation, taken from whoever has it in hand, and it as it is now.

        Also one that is `forsaken`: discarded once, of which no node can say what became, when all others are dead.

        Raises:
            UnsignedGone: it waits for no signature any more.
        """
        row = await allocations.lock(connection, tx.allocation_id)
        now = await store.find(connection, tx.id)
        if row is None or now is None:
            raise errors.UnsignedGone
        is_forsaken = now.is_loose and not any(one.is_living for one in await queue.txs(connection, row.id))
        if now.state != "built" and not (forsaken and is_forsaken):
            raise errors.UnsignedGone
        return row, now

    async def _content(self, tx: Tx) -> Allocation:
        async with self._parts.database.connection() as connection:
            row = await allocations.get(connection, tx.allocation_id)
            return await allocations.content(connection, row)

    async def _renewed(self, chain: Chain, tx: Tx) -> tuple[AllocationRow, Tx] | None:
        """It and its allocation with a time that begins now, or a nonce with which it has none.

        None: it has such a nonce, for it takes the place of one that was handed out with it.
        """
        async with self._parts.database.connection() as connection:
            row = await allocations.get(connection, tx.allocation_id)
            allocation = await allocations.content(connection, row)
            pays = [payment for payment, _ in await queue.payments(connection, tx.id)]
        if row.endures:
            return None
        anchor, last_height = await self._anchor(chain, row, tx)
        expires_at = self._parts.now() + SIGNED_WITHIN
        row = msgspec.structs.replace(row, anchor=anchor, last_height=last_height, expires_at=expires_at)
        allocation = msgspec.structs.replace(allocation, anchor=anchor, last_height=last_height, expires_at=expires_at)
        try:
            made = await chain.build(pays, allocation, rate=tx.offered)
        except NodeWrong:
            raise
        except ChainError as error:
            raise errors.UnsignedGone(f"It can't be made now: {error.detail}") from error
        if made.fee_max > tx.fee_limit:
            raise errors.UnsignedGone("It would cost more now than was agreed; discard it.")
        return row, msgspec.structs.replace(tx, payload=made.payload, fee_max=made.fee_max)

    async def _anchor(self, chain: Chain, row: AllocationRow, tx: Tx) -> tuple[str | None, int | None]:
        """What an allocation that nobody has seen begins with: of Solana a free durable nonce, or a recent block."""
        if chain.model != "recent_block":
            return None, None
        for account in await self._free_nonces(chain, row, tx):
            anchor = await chain.durable_anchor(account, source=row.source)
            if anchor is not None and not await self._was_given(chain, anchor):
                return anchor, None
        return await chain.anchor()

    async def _free_nonces(self, chain: Chain, row: AllocationRow, tx: Tx) -> Sequence[str]:
        """Accounts that no transaction has. They are the house's, so its own address has to pay the fee."""
        count = self._parts.terms[chain.name].durable_nonces
        if not count or tx.kind == "open" or row.change is not None:
            return ()
        async with self._parts.database.connection() as connection:
            hot = (await sources.house(connection, chain.name)).get("hot", ())[:1]
            taken = await store.nonces_taken(connection, chain.name)
        if row.source not in hot:
            return ()
        return [one for one in await chain.nonce_accounts(row.source, count=count) if one not in taken]

    async def _was_given(self, chain: Chain, anchor: str) -> bool:
        async with self._parts.database.connection() as connection:
            return await store.was_given(connection, chain.name, anchor)

    async def _check_free(self, connection: Connection, chain: Chain, row: AllocationRow) -> None:
        """Pass if nobody else has got its durable nonce meanwhile, if it has one. The caller has the chain locked.

        Raises:
            UnsignedGone
        """
        if not row.endures:
            return
        assert row.anchor is not None, "it endures by that"
        taken = await store.nonces_taken(connection, chain.name)
        if row.anchor.split(":")[2] in taken or await store.was_given(connection, chain.name, row.anchor):
            raise errors.UnsignedGone("Something was handed out or in at this moment; try again.")

    async def _has(self, connection: Connection, tx: Tx, found: Signed) -> bool:
        """Whether it was handed in already, with these signatures."""
        now = await store.find(connection, tx.id)
        if now is None or now.raw is None:
            return False
        if now.raw != found.raw and now.chain_tx != found.chain_tx:
            raise errors.SignedAlready
        return True

    async def _store(self, connection: Connection, tx: Tx, found: Signed) -> None:
        row, now = await self._locked(connection, tx)
        if now.payload != tx.payload:
            raise errors.UnsignedGone
        if await queue.known(connection, tx.chain, found.chain_tx) not in (None, tx.id):
            # The chain takes the two for one, which would stand for both.
            raise errors.SignedAlready("The chain knows another transaction of ours by the same id.")
        await queue.note_own(connection, tx.chain, found.chain_tx)
        at = self._parts.now()
        await queue.change_tx(connection, tx.id, state="signed", now=at, raw=found.raw, chain_tx=found.chain_tx)
        await allocations.change(connection, row.id, state="living", next_at=at)
        await store.say(connection, row.id, "")
        await self._told(connection, "custody.transaction_signed.v1", tx, chain_tx=found.chain_tx)

    async def _handed_out(
        self, connection: Connection, chain: Chain, outside: Outside, row: AllocationRow, tx: Tx
    ) -> Exported:
        assert tx.payload is not None, "it is built"
        content = await allocations.content(connection, row)
        signers = list(dict.fromkeys([coin.address for coin in content.coins] or [row.source]))
        if row.change and chain.model == "recent_block":
            # Who pays the fee of a sweep signs first.
            signers.insert(0, row.change)
        ours = [*signers, *([row.change] if row.change else [])]
        key = await elsewhere.public_key(connection, chain.name)
        found = await sources.places(connection, chain.name, ours) if key is not None else {}
        places = {one: Place(purpose=purpose, index=index) for one, (purpose, index) in found.items()}
        public = None if key is None else PublicKey(text=key.public_key, fingerprint=key.fingerprint)
        paths = {
            one: outside.path(public.text, place, network=chain.network)
            for one, place in places.items()
            if public is not None
        }
        return Exported(
            transaction=await self._shown(connection, tx),
            network=chain.network,
            form=outside.FORM,
            unsigned=outside.shown(tx.payload, network=chain.network, public=public, places=places),
            keys=[KeyNeeded(address=one, path=paths.get(one)) for one in signers],
            expires_at=row.expires_at if outside.EXPIRES and chain.model == "nonce" else None,
            last_height=row.last_height,
        )

    async def _shown(self, connection: Connection, tx: Tx) -> Unsigned:
        chain = self._parts.chains[tx.chain]
        known = (await self._parts.ledger.assets()).values()
        assets = {one.contract: one for one in known if one.chain == tx.chain}
        coin = await self._parts.ledger.asset(code=chain.coin)
        payments: Sequence[UnsignedPayment] = [
            UnsignedPayment(
                address=payment.address,
                money=_money(payment.amount, coin if payment.token is None else assets[payment.token]),
                memo=payment.memo,
                withdrawal_id=withdrawal_id,
            )
            for payment, withdrawal_id in await queue.payments(connection, tx.id)
        ]
        return Unsigned(
            id=tx.id,
            chain=tx.chain,
            kind=tx.kind,
            payments=payments,
            fee=_money(tx.fee_limit if tx.fee_max is None else tx.fee_max, coin),
            replaces=tx.replaces,
            created_at=tx.created_at,
            exported_at=tx.exported_at,
        )

    async def _told(self, connection: Connection, kind: str, tx: Tx, *, chain_tx: str | None = None) -> None:
        data = {"chain": tx.chain, "chain_tx": chain_tx}
        await outbox.append_fact(connection, kind, source=SOURCE, subject=str(tx.id), time=self._parts.now(), data=data)


def _exported(tx: Tx) -> str:
    return "" if tx.exported_at is None else clock.format(tx.exported_at)


def _money(units: int, asset: Asset) -> Money:
    return Money(money.format(units, asset.scale), asset.code)
