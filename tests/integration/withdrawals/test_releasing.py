"""What may not leave on a chain yet is held, and waits."""

import pytest

from billfold.kernel import ids
from tests.integration.withdrawals.support import Office


@pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
async def test_money_of_a_deposit_that_is_too_young_waits_until_that_may_leave(office: Office) -> None:
    account = await office.customer(10_000_000)
    free = (await office.request(account, 1_000, "sim-a")).withdrawal
    (available,) = [posted - held for posted, held in [await office.posted(account)]]
    deposit = await _young_deposit(office, account, available)
    young = (await office.request(account, 1_000, "sim-b", key="young")).withdrawal
    for _ in range(3):
        await office.work()
    # All that is held counts, so while the two are more than what may leave neither does.
    assert {(await office.look(one.id)).status for one in (free, young)} == {"held"}
    async with office.database.connection() as connection:
        await connection.execute("UPDATE custody.deposits SET state = 'releasable' WHERE id = $1", deposit)
    assert {one.status for one in await office.finish(free.id, young.id)} == {"settled"}


async def _young_deposit(office: Office, account: object, amount: int) -> object:
    made = ids.new()
    async with office.database.connection() as connection:
        await connection.execute(
            "INSERT INTO custody.deposits (id, chain, chain_tx, index, address, memo, token, asset, amount, kind, "
            "wallet_id, height, block, state, account_id, detected_at) "
            "VALUES ($1, 'ethereum', 'young', '0', 'a', '', '', 'ETH', $2, 'wallet', $1, 1, 'b', 'credited', $3, "
            "now())",
            made,
            amount,
            account,
        )
    return made
