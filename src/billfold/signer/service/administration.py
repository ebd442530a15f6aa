"""What is done at the signer's own machine, and no other process may ask for: policy, log, and new master keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any

import msgspec

from billfold.chains.errors import AddressInvalid
from billfold.chains.port import Network
from billfold.kernel.clock import Clock
from billfold.platform.keys import Keyring
from billfold.platform.postgres.database import Database
from billfold.signer import errors
from billfold.signer.contracts import Entry, Limit, Policy
from billfold.signer.domain import journal
from billfold.signer.service.chains import Chains, guarded
from billfold.signer.service.recording import Recorder
from billfold.signer.service.seeds import Seeds
from billfold.signer.store import log, policy, trees

#: Lines that are read at a time.
_PAGE = 1_000
#: Trees that are looked through for old keys: all that there may be.
_TREES_MAX = 1_000


class Administration:
    """Policy, log and rotation."""

    def __init__(self, *, database: Database, seeds: Seeds, keyring: Keyring, clock: Clock, chains: Chains) -> None:
        self._database = database
        self._chains = chains
        self._seeds = seeds
        self._keyring = keyring
        self._clock = clock

    async def limits(self) -> Sequence[Limit]:
        """The limits of all assets.

        Raises:
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            return await policy.limits(connection)

    async def policy(self) -> Sequence[Policy]:
        """What is set for each chain and network beside limits; those for which nothing is are left out.

        Raises:
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            return await policy.all_(connection)

    async def set_limit(self, limit: Limit) -> None:
        """Let so much of an asset leave, from now on.

        Raises:
            RequestInvalid, ChainNotSigned, DatabaseUnavailable.
        """
        if not 0 <= limit.per_transaction <= limit.per_window or limit.window_s < 1:
            raise errors.RequestInvalid("A limit is not negative, and one transaction's is not above the window's.")
        self._check(limit.chain, on=True)
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            await policy.put_limit(connection, limit)
            told = {name: str(value) for name, value in msgspec.structs.asdict(limit).items() if value is not None}
            recorder.add("policy", {"limit": told})
            await recorder.write()

    async def set_allow_list(self, chain: str, network: Network, *, on: bool) -> None:
        """Have a chain pay known destinations alone, or anybody.

        Raises:
            ChainNotSigned, DatabaseUnavailable.
        """
        self._check(chain, on=on)
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            await policy.put_allow_list(connection, chain, network, on=on)
            recorder.add("policy", {"chain": chain, "network": network, "allow_list": on})
            await recorder.write()

    async def allow(self, chain: str, network: Network, address: str, *, on: bool = True) -> None:
        """Let a destination be paid where not all may, or no more.

        Raises:
            ChainNotSigned, AddressInvalid, DatabaseUnavailable.
        """
        written = self._written(chain, network, address, on=on)
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            for one in sorted(written):
                await policy.put_destination(connection, chain, network, one, on=on)
                about: dict[str, Any] = {"chain": chain, "network": network, "destination": one, "allowed": on}
                recorder.add("policy", about)
            await recorder.write()

    async def allow_claims(self, chain: str, network: Network, *, on: bool = True) -> None:
        """Let addresses of a chain be claimed for proofs of reserves, or no more.

        Raises:
            ChainNotSigned, DatabaseUnavailable.
        """
        self._check(chain, on=on)
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            await policy.put_claims(connection, chain, network, on=on)
            recorder.add("policy", {"chain": chain, "network": network, "claims": on})
            await recorder.write()

    async def set_warm(self, chain: str, network: Network, address: str, *, on: bool = True) -> None:
        """Know an address as the operator's own, to which a hot surplus goes beside all limits; or no more.

        Raises:
            ChainNotSigned, AddressInvalid, DatabaseUnavailable.
        """
        written = self._written(chain, network, address, on=on)
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            for one in sorted(written):
                await policy.put_warm(connection, chain, network, one, on=on)
                recorder.add("policy", {"chain": chain, "network": network, "destination": one, "warm": on})
            await recorder.write()

    def _check(self, chain: str, *, on: bool) -> None:
        """Whoever has mistyped a chain would not know that it counts for none. It can always be taken away."""
        if on:
            self._chains(chain)

    def _written(self, chain: str, network: Network, address: str, *, on: bool) -> Collection[str]:
        """The same of an address: as it is read in transactions, or nothing would ever be paid there.

        It is taken away as it is written, too, whatever that is.
        """
        try:
            one = guarded(self._chains(chain).signing.destination, address, network=network)
        except (AddressInvalid, errors.ChainNotSigned):
            if on:
                raise
            return {address}
        return {one} if on else {one, address}

    async def log(self, *, first: int = 0, limit: int = _PAGE) -> Sequence[Entry]:
        """Lines of the log from `first` on.

        Raises:
            DatabaseUnavailable.
        """
        async with self._database.connection() as connection:
            lines = await log.page(connection, first=first, limit=min(limit, _PAGE))
        return [
            Entry(position=line.position, at=line.at, decision=line.decision, content=line.content, hash=line.hash)
            for line in lines
        ]

    async def verify_log(self) -> tuple[int, bytes]:
        """Read the whole log; how many lines it has, and the hash of the last one. Keep both elsewhere.

        Raises:
            LogBroken: a line was changed, left out or put in.
            DatabaseUnavailable.
        """
        following, before = 0, journal.GENESIS
        while lines := await self.log(first=following):
            for line in lines:
                before = journal.chained(before, line.content)
                said = msgspec.json.decode(line.content)
                if line.position != following or line.hash != before or said["position"] != following:
                    raise errors.LogBroken(f"Line {following} of the log is not as it was written.")
                following += 1
        return following, before

    async def rewrap(self) -> AsyncGenerator[tuple[int, int], None]:
        """Seal every seed anew that is not under the newest master key, while signing goes on: (done, of how many).

        Broken off and begun again it goes on where it was.

        Raises:
            KeysUnavailable, SealBroken, DatabaseUnavailable.
        """
        newest = await self._keyring.newest()
        async with self._database.connection() as connection:
            rows = await trees.every(connection, limit=_TREES_MAX)
        old = [row for row in rows if (row.provider, row.master_key) != newest]
        yield 0, len(old)
        for done, row in enumerate(old, start=1):
            await self._reseal(row)
            yield done, len(old)

    async def _reseal(self, row: trees.Row) -> None:
        anew = await self._seeds.resealed(row)
        async with self._database.transaction() as connection:
            recorder = await Recorder.begin(connection, now=self._clock.now())
            if await trees.reseal(connection, anew, version=row.version):
                about = {"tree": str(row.id), "version": anew.version, "master_key": anew.master_key}
                recorder.add("rewrapped", {**about, "provider": anew.provider})
                await recorder.write()
