"""Chains whose keys are elsewhere: what is known of these is imported, and addresses come from that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from billfold.chains.errors import AddressInvalid
from billfold.chains.outside_port import Outside
from billfold.chains.signing_port import Purpose
from billfold.custody import errors
from billfold.custody.contracts.elsewhere import ChainKeys, ListedPurpose
from billfold.custody.events import SOURCE
from billfold.custody.service import metrics
from billfold.custody.service.served import Served, Serving
from billfold.custody.store import elsewhere as store
from billfold.custody.store import sources, unsigned
from billfold.custody.store.elsewhere import KeyRow
from billfold.kernel.clock import Clock
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database

#: Whether what another person has approved is to be done now.
Concluded = Callable[[Connection], Awaitable[bool]]
#: With fewer listed addresses left somebody should import more.
LEFT_LOW = 100

log = structlog.get_logger(__name__)


class Elsewhere:
    """Of all chains that are served."""

    def __init__(self, *, serving: Serving, database: Database, clock: Clock) -> None:
        self._serving = serving
        self._database = database
        self._clock = clock
        #: How many addresses of a list were left when that was looked at last.
        self._left: dict[str, int] = {}

    async def keys(self, *, chain: str) -> ChainKeys:
        """What is known of a chain's keys.

        Raises:
            ChainUnknown
        """
        served = self._serving.get(chain)
        if served.outside is None:
            return ChainKeys(chain=chain, network=served.chain.network, where="signer")
        async with self._database.connection() as connection:
            key = await store.public_key(connection, chain)
            listed = await store.listed(connection, chain, "hot", first=0, count=1)
            given = (await sources.house(connection, chain)).get("hot", ())
            endless = key is not None or served.showing.SHARED
            return ChainKeys(
                chain=chain,
                network=served.chain.network,
                where="elsewhere",
                public_key=None if key is None else key.public_key,
                fingerprint=None if key is None else key.fingerprint,
                hot=next(iter([*given, *listed]), None),
                addresses_left=None if endless else await store.left(connection, chain),
                unsigned=await unsigned.count(connection, chain),
            )

    async def checked_key(self, *, chain: str, public_key: str) -> str:
        """The public key of an account in its one form.

        Raises:
            ChainUnknown, KeysWithSigner, PublicKeyInvalid.
        """
        served, outside = await self._outside(chain)
        return outside.checked(public_key, network=served.chain.network)

    async def import_public_key(
        self, *, chain: str, public_key: str, fingerprint: str | None, concluded: Concluded | None = None
    ) -> ChainKeys:
        """Let all addresses of a chain follow from the public key of an account. The same again is no change.

        It is done if what is `concluded` in the same database transaction is to be done.

        Raises:
            ChainUnknown, KeysWithSigner, PublicKeyInvalid
            KeysImported: the chain has another one, or addresses already.
        """
        canonical = await self.checked_key(chain=chain, public_key=public_key)
        new = KeyRow(self._serving.get(chain).chain.network, canonical, fingerprint)
        async with self._database.transaction() as connection:
            if concluded is not None and not await concluded(connection):
                return await self.keys(chain=chain)
            await store.lock(connection, chain)
            known = await store.public_key(connection, chain)
            if known is None and not await store.has_addresses(connection, chain):
                await store.add_public_key(connection, chain, new, now=self._clock.now())
                await self._told(connection, "custody.public_key_imported.v1", chain, {"fingerprint": fingerprint})
            elif known != new:
                raise errors.KeysImported
        return await self.keys(chain=chain)

    async def checked_addresses(self, *, chain: str, purpose: ListedPurpose, addresses: Sequence[str]) -> Sequence[str]:
        """Addresses in their one form.

        Raises:
            ChainUnknown, KeysWithSigner, AddressInvalid.
        """
        served, outside = await self._outside(chain)
        if purpose == "deposit" and served.showing.SHARED:
            raise AddressInvalid("On this chain all wallets share the address that pays; import that as `hot`.")
        if purpose == "hot" and len(addresses) != 1:
            raise AddressInvalid("There is one address that pays.")
        return [_listed(served, outside, text, number) for number, text in enumerate(addresses)]

    async def import_addresses(
        self, *, chain: str, purpose: ListedPurpose, addresses: Sequence[str], concluded: Concluded | None = None
    ) -> ChainKeys:
        """Add addresses to the list of those that are given out; all of them, or none. `concluded` as above.

        Raises:
            ChainUnknown, KeysWithSigner, AddressInvalid, AddressKnown
            KeysImported: addresses follow from a key, or the one that pays is known already.
        """
        canonical = await self.checked_addresses(chain=chain, purpose=purpose, addresses=addresses)
        served = self._serving.get(chain)
        async with self._database.transaction() as connection:
            if concluded is not None and not await concluded(connection):
                return await self.keys(chain=chain)
            await store.lock(connection, chain)
            await _check_new(connection, served, purpose, canonical)
            await store.add_listed(connection, chain, purpose, canonical, now=self._clock.now())
            told = {"purpose": purpose, "count": len(canonical), "first": canonical[0]}
            await self._told(connection, "custody.addresses_imported.v1", chain, told)
        return await self.keys(chain=chain)

    async def derives(self, served: Served) -> bool:
        """Whether a chain's addresses follow from a public key.

        Raises:
            AddressesUnavailable: that key is of another network.
        """
        async with self._database.connection() as connection:
            return await self._key(connection, served) is not None

    async def addresses(
        self, connection: Connection, served: Served, purpose: Purpose, *, first: int, count: int
    ) -> Sequence[str]:
        """Those of `count` places in a row.

        Raises:
            AddressesUnavailable: nothing was imported.
            AddressesUsedUp: the list ends.
        """
        key = await self._key(connection, served)
        if key is not None:
            assert served.outside is not None, "only then there is a key"
            outside = await asyncio.to_thread(served.outside)
            network = served.chain.network
            return await asyncio.to_thread(
                outside.addresses, key.public_key, purpose=purpose, first=first, count=count, network=network
            )
        found = await store.listed(connection, served.name, purpose, first=first, count=count)
        if len(found) == count:
            return found
        if purpose != "deposit":
            raise errors.AddressesUnavailable(
                f"The keys of {served.name} are elsewhere, and what derives its addresses was not imported yet."
            )
        log.warning("imported addresses are used up", chain=served.name)
        raise errors.AddressesUsedUp

    async def measure(self, *, chain: str) -> None:
        """Tell the metrics how many addresses are left, and how many transactions wait for signatures.

        Raises:
            ChainUnknown, DatabaseUnavailable.
        """
        found = await self.keys(chain=chain)
        metrics.UNSIGNED.labels(chain).set(found.unsigned)
        if found.addresses_left is not None:
            metrics.ADDRESSES_LEFT.labels(chain).set(found.addresses_left)
            # Once for each number: it is looked at every few seconds.
            if found.addresses_left < LEFT_LOW and self._left.get(chain) != found.addresses_left:
                log.warning("few imported addresses are left", chain=chain, left=found.addresses_left)
            self._left[chain] = found.addresses_left

    async def _outside(self, chain: str) -> tuple[Served, Outside]:
        served = self._serving.get(chain)
        if served.outside is None:
            raise errors.KeysWithSigner
        return served, await asyncio.to_thread(served.outside)

    async def _key(self, connection: Connection, served: Served) -> KeyRow | None:
        key = await store.public_key(connection, served.name)
        if key is not None and key.network != served.chain.network:
            raise errors.AddressesUnavailable(f"The public key of {served.name} is of the network {key.network}.")
        return key

    async def _told(self, connection: Connection, kind: str, chain: str, data: Mapping[str, object]) -> None:
        await outbox.append_fact(
            connection, kind, source=SOURCE, subject=chain, time=self._clock.now(), data={"chain": chain, **data}
        )


def _listed(served: Served, outside: Outside, text: str, number: int) -> str:
    try:
        return outside.listed(text, network=served.chain.network)
    except AddressInvalid as error:
        raise AddressInvalid(error.detail, pointer=f"/addresses/{number}") from error


async def _check_new(connection: Connection, served: Served, purpose: ListedPurpose, addresses: Sequence[str]) -> None:
    """Pass if the list takes them all.

    Raises:
        KeysImported, AddressKnown.
    """
    if await store.public_key(connection, served.name) or await sources.tree(connection, served.name):
        raise errors.KeysImported
    if purpose == "hot" and await store.listed(connection, served.name, "hot", first=0, count=1):
        raise errors.KeysImported
    known = await store.known(connection, served.name, addresses)
    seen: set[str] = set()
    for number, address in enumerate(addresses):
        if address in known or address in seen:
            raise errors.AddressKnown(pointer=f"/addresses/{number}")
        seen.add(address)
