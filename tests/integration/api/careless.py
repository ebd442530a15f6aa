"""The role `api` with one of its checks taken out: `careless CHECK serve api`. The walk over all routes must notice."""

import sys
from typing import Any

import pytest

from billfold.app.cli import main
from billfold.identity.service import approvals
from billfold.kernel import principal
from billfold.wallets import domain
from billfold.wallets.service import resolution
from billfold.wallets.store import accounts, wallets

monkeypatch = pytest.MonkeyPatch()


def without_scopes() -> None:
    """Nobody's scopes are looked at."""
    monkeypatch.setattr(principal.Principal, "require", lambda _self, _scope: None)


def without_owners() -> None:
    """Every wallet is found for everybody."""
    get, of_wallet = wallets.get, accounts.of_wallet

    async def anybodys(*given: Any, **named: Any) -> Any:
        return await get(*given, **named | {"owner": None})

    async def accounts_of_anybodys(*given: Any, **named: Any) -> Any:
        return await of_wallet(*given, **named | {"owner": None})

    monkeypatch.setattr(wallets, "get", anybodys)
    monkeypatch.setattr(accounts, "of_wallet", accounts_of_anybodys)


def without_sides() -> None:
    """Everybody's money is the caller's."""
    make = domain.Side

    def mine(account: Any, wallet: str, asset: str, _mine: bool, *rest: Any) -> Any:  # noqa: FBT001
        return make(account, wallet, asset, wallet != "outside", *rest)

    monkeypatch.setattr(resolution, "Side", mine)


def without_a_second_person() -> None:
    """Nobody is asked."""

    async def nobody(*_given: Any, **_named: Any) -> None:
        return

    monkeypatch.setattr(approvals.Approvals, "demand", nobody)


if __name__ == "__main__":
    globals()[sys.argv.pop(1)]()
    main()
