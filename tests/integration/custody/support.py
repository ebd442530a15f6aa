"""All that a test of custody needs, and short ways to say what they do again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

import msgspec

from billfold.chains.bitcoin import showing as bitcoin
from billfold.chains.port import Chain, Network, Signed
from billfold.chains.signing_port import Purpose
from billfold.custody import Custody, Served, Showing
from billfold.custody.contracts import Terms
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Connection, Database
from billfold.signer.contracts import Tree
from billfold.wallets import Wallets
from billfold.wallets.contracts import NewWallet
from tests import facades
from tests.integration.wallets.support import SCOPES, move

BITCOIN = cast("Showing", bitcoin)
TERMS = Terms(credit_after=2, release_after=4, reorg_limit=6)
#: The contract of a token that a bank may know.
TOKEN = "0xtok"


class NamedPlaces:
    """Addresses that say which place they are: on a chain of the tests nobody has keys."""

    def __init__(self) -> None:
        self.derived = 0

    async def create(self, *, tree_id: UUID, chain: str, network: Network) -> Tree:
        return Tree(id=tree_id, chain=chain, network=network, public=None, created_at=datetime.now(UTC))

    async def trees(self) -> Sequence[Tree]:
        return ()

    async def addresses(self, *, tree_id: UUID, purpose: Purpose, first: int, count: int) -> Sequence[str]:
        self.derived += count
        return [f"{purpose}-{place}-{tree_id.hex[-4:]}" for place in range(first, first + count)]

    async def sign(self, **_: Any) -> Signed:
        raise AssertionError("nothing is signed here")

    async def claim(self, **_: Any) -> Mapping[str, str]:
        raise AssertionError("nothing is claimed here")

    async def export(self, **_: Any) -> bytes:
        raise AssertionError("nobody has keys here")


class Bank:
    """Custody, wallets and a ledger over one chain."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        chain: Any,
        terms: Terms = TERMS,
        showing: Showing = BITCOIN,
        freezes: bool = True,
        signer: NamedPlaces | None = None,
    ) -> None:
        self.database, self.ledger, self.chain = database, ledger, chain
        self._freezes = freezes
        self.signer = signer or NamedPlaces()
        served = Served(chain=cast("Chain", chain), terms=terms, showing=showing)
        wallets: Wallets
        self.custody = Custody(
            database=database,
            ledger=ledger,
            wallet_accounts=lambda connection, pairs: wallets.holders.open_accounts(connection, pairs),  # noqa: PLW0108
            freeze_wallet=self._freeze,
            wallet_pages=lambda **page: wallets.holders.page(**page),  # noqa: PLW0108
            served=[served],
            signer=self.signer,
        )
        self.wallets = wallets = Wallets(
            database=database, ledger=ledger, identity=facades.identity(database), custody=self.custody
        )

    async def _freeze(self, connection: Connection, wallet_id: UUID) -> None:
        if self._freezes:
            await self.wallets.registry.freeze_for_house(connection, wallet_id)

    async def read(self) -> None:
        """Until there is nothing more to read."""
        while await self.custody.watchers[self.chain.name].step():
            pass

    async def wallet(self, owner: Principal | None = None) -> tuple[UUID, str]:
        """A new wallet, and its address."""
        owner = owner or Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES)
        made, _ = await self.wallets.registry.create(principal=owner, new=NewWallet(name="A"))
        wallet_id = UUID(made.id)
        (given,) = await self.custody.addresses.issue(chain=self.chain.name, wallet_ids=[wallet_id])
        return wallet_id, given.address

    async def pay_closed_wallet(self, owner: Principal) -> None:
        """Two blocks, of which nobody has read, with money for a wallet that its owner has closed."""
        wallet, address = await self.wallet(owner)
        await self.read()
        await self.wallets.registry.close(principal=owner, wallet_id=wallet)
        self.chain.pay(address, 700)
        self.chain.mine(2)

    async def keep_unmatched(self, owner: Principal) -> None:
        """Have a deposit that is nobody's: it came to a wallet that its owner has closed."""
        await self.pay_closed_wallet(owner)
        # In the first it is heard that the wallet takes nothing.
        for _ in range(2):
            await self.read()

    async def pay_on(self, owner: Principal, source: UUID, target: UUID, amount: str) -> None:
        """Move money inside the house."""
        await move(self.wallets, owner, source=str(source), target=str(target), amount=amount, asset="BTC")

    async def balance(self, wallet_id: UUID, asset: str = "BTC") -> int:
        """What the ledger has for a wallet."""
        async with self.database.connection() as connection:
            account = await connection.fetchval(
                "SELECT account_id FROM wallets.accounts WHERE wallet_id = $1 AND asset = $2", wallet_id, asset
            )
        return 0 if account is None else (await self.ledger.accounts(ids=[account]))[0].posted

    async def held(self, kind: str, asset: str = "BTC") -> int:
        """What an account of the house has."""
        async with self.database.connection() as connection:
            account = await connection.fetchval(
                "SELECT account_id FROM custody.house_accounts WHERE kind = $1 AND asset = $2", kind, asset
            )
        return 0 if account is None else (await self.ledger.accounts(ids=[account]))[0].posted

    async def states(self) -> list[str]:
        """The state of each deposit."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT state FROM custody.deposits ORDER BY id")
        return [row["state"] for row in rows]

    async def told(self, *, chain: str | None = None) -> list[str]:
        """The types of what was told of deposits, in order."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT payload FROM messaging.outbox ORDER BY seq")
        found: list[str] = []
        for row in rows:
            try:
                event: Mapping[str, Any] = msgspec.json.decode(row["payload"])
            except msgspec.DecodeError:
                continue
            if event["type"].startswith("deposit.") and chain in {None, event["data"]["chain"]}:
                found.append(event["type"].split(".")[1])
        return found
