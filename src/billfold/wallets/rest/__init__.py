"""HTTP routes of wallets: translate, call the facade, no decision."""

from billfold.platform import web
from billfold.wallets import Wallets
from billfold.wallets.rest import (
    aliases,
    assets,
    balances,
    chain_withdrawals,
    dead_letters,
    holds,
    movements,
    on_chains,
    payment_requests,
    refunds,
    requests,
    statements,
    transactions,
    wallets,
)

__all__ = ["part"]


def part(facade: Wallets) -> web.Part:
    """What wallets add to the API."""
    modules = (
        wallets,
        movements,
        holds,
        balances,
        transactions,
        statements,
        assets,
        dead_letters,
        aliases,
        payment_requests,
        requests,
        on_chains,
        chain_withdrawals,
    )
    return web.Part(
        handlers=[handler for module in modules for handler in module.handlers],
        routes=[
            route
            for module in (wallets, movements, holds, assets, chain_withdrawals, refunds)
            for route in module.routes(facade)
        ],
        dependencies={"wallets": facade},
    )
