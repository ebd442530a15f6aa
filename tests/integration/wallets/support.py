"""Short ways to say what the tests of wallets do again and again."""

import msgspec

from billfold.kernel import ids
from billfold.kernel.money import Money
from billfold.kernel.principal import Principal
from billfold.wallets import Wallets, contracts
from billfold.wallets.contracts import Moved, NewWallet, Order, OrderKind

SCOPES = frozenset(
    [
        contracts.READ,
        contracts.WRITE,
        contracts.TRANSFERS_READ,
        contracts.HOLDS_READ,
        contracts.HOLDS_WRITE,
        contracts.LIMITS_WRITE,
        contracts.ASSETS_READ,
        *contracts.ORDER_SCOPES.values(),
    ]
)


def without(principal: Principal, scope: str) -> Principal:
    """The same caller with one scope less."""
    return msgspec.structs.replace(principal, scopes=principal.scopes - {scope})


async def wallet_of(wallets: Wallets, principal: Principal, *, holding: str | None = None, name: str = "A") -> str:
    """A new wallet, with so many dollars in it."""
    wallet, _ = await wallets.registry.create(principal=principal, new=NewWallet(name=name))
    if holding is not None:
        await move(wallets, principal, "deposit", target=wallet.id, amount=holding)
    return wallet.id


async def move(
    wallets: Wallets,
    principal: Principal,
    kind: OrderKind = "transfer",
    *,
    source: str | None = None,
    target: str | None = None,
    amount: str = "1.00",
    asset: str = "USD",
    key: str | None = None,
    effective_at: str | None = None,
) -> Moved:
    order = Order(kind=kind, source=source, target=target, money=Money(amount, asset), effective_at=effective_at)
    return await wallets.movements.move(principal=principal, order=order, key=key or str(ids.new()))
