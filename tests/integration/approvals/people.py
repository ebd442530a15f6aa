"""People with roles, as they are after a login or with an API key, and what they do with money."""

from __future__ import annotations

from uuid import UUID

from billfold.identity import Identity
from billfold.identity.contracts import KEY_SCOPES, Approval, Role, scopes_of
from billfold.kernel import ids
from billfold.kernel.deferred import Deferred
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from billfold.wallets.contracts import Moved, NewWallet, Order, OrderKind

#: The largest withdrawal of one person alone.
ABOVE = {"USD": "100", "BTC": "0.5"}


async def person(database: Database, *roles: Role) -> Principal:
    """Somebody who has logged in."""
    user_id = ids.new()
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO identity.owners (id, name, created_at) VALUES ($1, $2, now())", user_id, f"user {user_id}"
        )
        await connection.execute(
            "INSERT INTO identity.users (id, display_name, locale, time_zone, roles, created_at)"
            " VALUES ($1, 'Somebody', 'en', 'UTC', $2, now())",
            user_id,
            list(roles),
        )
    return Principal(
        credential_id=ids.new(),
        owner_id=user_id,
        scopes=scopes_of(frozenset(roles)),
        user_id=user_id,
        is_session=True,
    )


def by_key(somebody: Principal, *scopes: str) -> Principal:
    """The same person with an API key of theirs."""
    granted = frozenset(scopes) or somebody.scopes & KEY_SCOPES
    return Principal(credential_id=ids.new(), owner_id=somebody.owner_id, scopes=granted, user_id=somebody.user_id)


def program(*scopes: str) -> Principal:
    """Whoever has a key that was made at the machine."""
    return Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset(scopes))


async def give_roles(database: Database, somebody: Principal, *roles: Role) -> None:
    """Change what somebody may do, past all rules."""
    async with database.connection() as connection:
        await connection.execute("UPDATE identity.users SET roles = $2 WHERE id = $1", somebody.user_id, list(roles))


class Bank:
    """Wallets and approvals over one database."""

    def __init__(self, dsn: str, database: Database, *, identity: Identity, ledger: Ledger, wallets: Wallets) -> None:
        self.dsn = dsn
        self.ledger = ledger
        self.database = database
        self.identity = identity
        self.approvals = identity.approvals
        self.wallets = wallets
        self.machine = program(*KEY_SCOPES)

    async def wallet(self, owner: Principal, *, holding: str | None = None, asset: str = "USD") -> str:
        """A wallet of somebody's, with so much in it."""
        with_scope = Principal(credential_id=ids.new(), owner_id=owner.owner_id, scopes=frozenset({"wallets:write"}))
        made, _ = await self.wallets.registry.create(principal=with_scope, new=NewWallet(name="A"))
        if holding is not None:
            await self.move(self.machine, "deposit", target=made.id, amount=holding, asset=asset)
        return made.id

    async def move(
        self,
        by: Principal,
        kind: OrderKind = "transfer",
        *,
        source: str | None = None,
        target: str | None = None,
        amount: str = "1.00",
        asset: str = "USD",
        key: str | None = None,
    ) -> Moved:
        order = Order(kind=kind, source=source, target=target, money=Money(amount, asset))
        return await self.wallets.movements.move(principal=by, order=order, key=key or str(ids.new()))

    async def asked(
        self,
        by: Principal,
        kind: OrderKind,
        *,
        source: str | None = None,
        target: str | None = None,
        amount: str = "1.00",
        key: str | None = None,
    ) -> Approval:
        """What waits after somebody has tried to move money."""
        try:
            await self.move(by, kind, source=source, target=target, amount=amount, key=key)
        except Deferred as deferred:
            assert isinstance(deferred.waits_for, Approval)
            assert deferred.path == f"/approvals/{deferred.waits_for.id}"
            return deferred.waits_for
        raise AssertionError("nobody was asked")

    async def approve(self, by: Principal, approval: Approval) -> Approval:
        return await self.approvals.approve(by=by, approval_id=UUID(approval.id))

    async def posted(self, wallet: str, asset: str = "USD") -> str:
        (balance,) = await self.wallets.balances.now(principal=self.machine, wallet_id=UUID(wallet), asset=asset)
        return balance.posted
