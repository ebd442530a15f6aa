"""What an owner has of a token, whatever stands where their associated account should be."""

from __future__ import annotations

from typing import Any, cast

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.token.state import TokenAccount, TokenAccountState

from billfold.chains.solana import holding, orders
from billfold.chains.solana.node import Node
from billfold.chains.solana.records import Account

OWNER, OTHER, MINT, FAKE = (Keypair.from_seed(bytes([one] * 32)).pubkey() for one in range(4))


class Answering:
    """A node that has one account."""

    def __init__(self, account: Account | None) -> None:
        self._account = account
        self.asked: list[tuple[str, int]] = []

    async def agreed_account(self, key: str, *, slot: int = 0) -> Account | None:
        self.asked.append((key, slot))
        return self._account


def there(
    *,
    owner: Pubkey = OWNER,
    mint: Pubkey = MINT,
    state: Any = TokenAccountState.Initialized,
    program: Pubkey = orders.TOKEN,
    cut: int = 165,
) -> Account:
    made = TokenAccount(
        mint=mint,
        owner=owner,
        amount=7,
        delegate=None,
        state=state,
        is_native=None,
        delegated_amount=0,
        close_authority=None,
    )
    data = bytes(made)[:cut]
    return Account(lamports=1, owner=str(program), executable=False, space=len(data), data=data)


@pytest.mark.parametrize(
    ("account", "balance", "movable"),
    [
        (there(), 7, 7),
        (there(state=TokenAccountState.Frozen), 7, 0),
        (there(owner=OTHER), 0, 0),
        (there(mint=FAKE), 0, 0),
        (there(program=orders.TOKEN_2022), 0, 0),
        (there(program=orders.SYSTEM, cut=0), 0, 0),
        (None, 0, 0),
    ],
)
async def test_only_the_owner_s_associated_account_counts(account: Account | None, balance: int, movable: int) -> None:
    node = Answering(account)
    asked = cast("Node", node)
    assert await holding.balance(asked, str(OWNER), str(MINT), slot=9) == balance
    assert await holding.movable(asked, str(OWNER), str(MINT)) == movable
    place = str(orders.token_account(str(OWNER), str(MINT)))
    assert node.asked == [(place, 9), (place, 0)]
