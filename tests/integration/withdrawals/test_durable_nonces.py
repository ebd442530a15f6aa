"""Keys of Solana that are with people: what they are handed stays good until they sign it, or somebody ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from solders.keypair import Keypair

from billfold.app.migrate import SETS
from billfold.chains.errors import Refused
from billfold.chains.port import Signed
from billfold.chains.solana import outside
from billfold.custody import errors
from billfold.custody.contracts import Exported, Unsigned
from billfold.custody.service.house import House
from billfold.kernel import idempotency
from billfold.ledger.contracts import NewTransfer
from tests import servers
from tests.integration.withdrawals import outsiders
from tests.integration.withdrawals.test_outside import DEADLINE_S, Bank, banking
from tests.servers.solana import SolanaServer

NONCES = 2
#: More blocks than a recent one counts.
LONG = 200


class Papers(Bank):
    """A bank whose people sign on paper; nobody is paid by its customers meanwhile."""

    async def go_on(self) -> None:
        self.clock.ahead += timedelta(seconds=10)
        await self.custody.withdrawals.open(chain="solana")
        await self.custody.withdrawals.work(chain="solana")
        await asyncio.to_thread(self.server.mine)

    async def credit(self, account: UUID, amount: int) -> None:
        transfer = NewTransfer(
            debit_account=await self.omnibus(), credit_account=account, amount=amount, asset="SOL", kind="deposit"
        )
        key = idempotency.key(owner=account, text="k", operation="test", content=b"")
        (await self.ledger.post(key=key, transfers=[transfer])).single()

    async def omnibus(self) -> UUID:
        return await House(database=self.database, ledger=self.ledger).account(kind="omnibus", asset="SOL")


@pytest.fixture
async def bank(postgres_server: servers.PostgresServer, solana_server: SolanaServer) -> AsyncIterator[Papers]:
    dsn = postgres_server.create_database(SETS).app_dsn
    async with banking("solana", solana_server, dsn, kind=Papers, nonces=NONCES) as bank:
        bank.outsider = outsiders.solana([Keypair() for _ in range(2)])
        yield bank
        solana_server.control("faults")


async def furnished(bank: Papers) -> UUID:
    """A wallet that can withdraw, when the accounts for nonces are open; somebody has signed that, too."""
    await bank.introduce()
    (hot,) = await bank.custody.addresses.of_house(chain="solana", purpose="hot")
    bank.server.faucet(hot, "2")
    # Transactions stand on a final block, and the first is that after so many.
    bank.server.mine(33)
    wallet = await bank.wallet()
    await bank.credit(wallet, 2 * bank.unit)
    async with asyncio.timeout(DEADLINE_S):
        while {one.state for one in (await bank.custody.chains.state(chain="solana")).openings} != {"open"}:
            await bank.go_on()
            await bank.outsider.sign_all(bank.custody, "solana")
    # What it has cost is posted, and the nonces are final.
    await bank.go_on()
    bank.server.mine(33)
    return wallet


def stranger() -> str:
    return str(Keypair().pubkey())


async def signed(bank: Papers, exported: Exported) -> Signed:
    """What somebody outside has signed, as they would send it."""
    async with bank.database.connection() as connection:
        payload = await connection.fetchval(
            "SELECT payload FROM custody.tx_queue WHERE id = $1", exported.transaction.id
        )
    return outside.accepted(payload, bank.outsider.sign(exported), network="sandbox")


async def hand_in(bank: Papers, exported: Exported) -> None:
    given = bank.outsider.sign(exported)
    await bank.outside.accept(tx_id=exported.transaction.id, signed=given)


async def next_of(bank: Papers, kind: str) -> Unsigned:
    """What is in the list of this kind, as soon as it is."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            for one in await bank.outside.waiting(chain="solana"):
                if one.kind == kind:
                    return one
            await bank.go_on()


async def handed_out(bank: Papers, asked: UUID) -> Exported:
    """A withdrawal's transaction."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            for one in await bank.outside.waiting(chain="solana"):
                if asked in [payment.withdrawal_id for payment in one.payments]:
                    return await bank.outside.export(tx_id=one.id)
            await bank.go_on()


async def held(bank: Papers, address: str) -> int:
    return await bank.chain.balance(address, token=None, height=0)


async def check_conserved(bank: Papers) -> None:
    """The chain holds what the ledger says, also of what the accounts for nonces have cost."""
    assert (await bank.ledger.verify()).faults == []
    (hot,) = await bank.custody.addresses.of_house(chain="solana", purpose="hot")
    assert -await bank.booked(await bank.omnibus()) == await held(bank, hot)


async def test_it_is_signed_when_somebody_comes_to_it_and_leaves_once(bank: Papers) -> None:
    wallet, to = await furnished(bank), stranger()
    await check_conserved(bank)
    before = await bank.booked(wallet)
    asked = await bank.withdraw(wallet, bank.unit // 4, to)
    exported = await handed_out(bank, asked)
    assert (exported.last_height, exported.expires_at) == (None, None)

    bank.server.mine(LONG)
    for _ in range(3):
        await bank.go_on()
    found = await bank.look(asked)
    assert (found.status, found.reason) == ("allocated", "waits_for_signature")
    assert (await bank.outside.export(tx_id=exported.transaction.id)).unsigned == exported.unsigned
    await hand_in(bank, exported)
    ended = await bank.until(asked, "settled", "failed")

    assert ended.status == "settled"
    assert await held(bank, to) == bank.unit // 4
    assert await bank.booked(wallet) == before - bank.unit // 4 - (ended.fee_paid or 0)
    await check_conserved(bank)
    # The same account serves the next one, with another value.
    again = await handed_out(bank, await bank.withdraw(wallet, bank.unit // 4, to))
    assert again.last_height is None
    assert again.unsigned != exported.unsigned


async def test_what_they_send_themselves_is_found_however_late(bank: Papers) -> None:
    wallet, to = await furnished(bank), stranger()
    asked = await bank.withdraw(wallet, bank.unit // 4, to)
    sent = await signed(bank, await handed_out(bank, asked))
    bank.server.mine(LONG)
    await bank.go_on()

    await bank.chain.broadcast(sent)
    bank.server.mine(LONG)
    ended = await bank.until(asked, "settled", "failed")

    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    assert await held(bank, to) == bank.unit // 4
    await check_conserved(bank)


async def test_what_is_discarded_never_happens_once_its_end_is_signed_and_it_is_paid_anew(bank: Papers) -> None:
    wallet, to = await furnished(bank), stranger()
    asked = await bank.withdraw(wallet, bank.unit // 4, to)
    exported = await handed_out(bank, asked)
    late = await signed(bank, exported)

    await bank.outside.discard(tx_id=exported.transaction.id)
    clear = await next_of(bank, "clear")
    assert (clear.replaces, list(clear.payments)) == (exported.transaction.id, [])
    with pytest.raises(errors.UnsignedGone):
        await hand_in(bank, exported)
    await hand_in(bank, await bank.outside.export(tx_id=clear.id))
    anew = await handed_out(bank, asked)

    with pytest.raises(Refused):
        await bank.chain.broadcast(late)
    await hand_in(bank, anew)
    ended = await bank.until(asked, "settled", "failed")
    assert ended.status == "settled"
    assert ended.chain_tx != late.chain_tx
    assert await held(bank, to) == bank.unit // 4
    await check_conserved(bank)


async def test_who_cancels_gets_the_money_back_when_the_end_is_in_a_block(bank: Papers) -> None:
    wallet, to = await furnished(bank), stranger()
    before = await bank.booked(wallet)
    asked = await bank.withdraw(wallet, bank.unit // 4, to)
    exported = await handed_out(bank, asked)
    late = await signed(bank, exported)

    assert (await bank.custody.withdrawals.cancel(withdrawal_id=asked)).cancelling
    await bank.outside.discard(tx_id=exported.transaction.id)
    bank.server.mine(LONG)
    await bank.go_on()
    assert (await bank.look(asked)).cancelling
    await hand_in(bank, await bank.outside.export(tx_id=(await next_of(bank, "clear")).id))
    ended = await bank.until(asked, "cancelled", "settled", "failed")

    assert ended.status == "cancelled"
    with pytest.raises(Refused):
        await bank.chain.broadcast(late)
    assert await held(bank, to) == 0
    assert await bank.booked(wallet) == before - (ended.fee_paid or 0)
    await check_conserved(bank)


async def test_of_what_was_discarded_and_its_end_the_first_in_a_block_counts(bank: Papers) -> None:
    wallet, to = await furnished(bank), stranger()
    asked = await bank.withdraw(wallet, bank.unit // 4, to)
    exported = await handed_out(bank, asked)
    sent = await signed(bank, exported)
    await bank.outside.discard(tx_id=exported.transaction.id)
    clear = await bank.outside.export(tx_id=(await next_of(bank, "clear")).id)

    await bank.chain.broadcast(sent)
    bank.server.mine()
    await hand_in(bank, clear)
    bank.server.mine(LONG)
    ended = await bank.until(asked, "settled", "failed", "cancelled")

    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    assert await bank.outside.waiting(chain="solana") == []
    assert await held(bank, to) == bank.unit // 4
    await check_conserved(bank)


async def test_what_was_handed_in_and_no_block_takes_is_cancelled_by_its_end(bank: Papers) -> None:
    wallet, to = await furnished(bank), stranger()
    asked = await bank.withdraw(wallet, bank.unit // 4, to)
    bank.server.control("faults", lose=1_000)
    await hand_in(bank, await handed_out(bank, asked))
    await bank.until(asked, "sent")

    await bank.custody.withdrawals.cancel(withdrawal_id=asked)
    clear = await signed(bank, await bank.outside.export(tx_id=(await next_of(bank, "clear")).id))
    bank.server.control("faults")
    await bank.chain.broadcast(clear)
    bank.server.mine(LONG)
    ended = await bank.until(asked, "cancelled", "settled", "failed")

    assert (ended.status, ended.chain_tx) == ("cancelled", clear.chain_tx)
    assert await held(bank, to) == 0
    await check_conserved(bank)


async def test_each_has_a_nonce_of_its_own_and_who_gets_none_is_told_until_when_it_counts(bank: Papers) -> None:
    wallet = await furnished(bank)
    asked = [await bank.withdraw(wallet, bank.unit // 10, stranger()) for _ in range(NONCES + 1)]
    async with asyncio.timeout(DEADLINE_S):
        while len(found := [one for one in await bank.outside.waiting(chain="solana") if one.kind == "pay"]) <= NONCES:
            await bank.go_on()

    together = await asyncio.gather(
        *(bank.outside.export(tx_id=one.id) for one in found[:NONCES]), return_exceptions=True
    )
    assert all(isinstance(one, Exported | errors.UnsignedGone) for one in together)
    exported = [await bank.outside.export(tx_id=one.id) for one in found]

    assert [one.last_height is None for one in exported] == [True, True, False]
    async with bank.database.connection() as connection:
        rows = await connection.fetch("SELECT anchor FROM custody.allocations WHERE last_height IS NULL")
    assert len({row[0].split(":")[2] for row in rows}) == len(rows) == NONCES
    for one in exported:
        await hand_in(bank, one)
    assert [(await bank.until(one, "settled", "failed")).status for one in asked] == ["settled"] * len(asked)
    await check_conserved(bank)


async def test_a_value_that_a_node_shows_again_is_not_given_out_again(bank: Papers) -> None:
    wallet, to = await furnished(bank), stranger()
    first = await bank.withdraw(wallet, bank.unit // 10, to)
    await hand_in(bank, await handed_out(bank, first))
    await bank.until(first, "settled")

    # Two blocks make a withdrawal final here, and the nonce is finally another one only after thirty more.
    second = await handed_out(bank, await bank.withdraw(wallet, bank.unit // 10, to))

    assert second.last_height is None
    async with bank.database.connection() as connection:
        rows = await connection.fetch("SELECT anchor FROM custody.allocations WHERE last_height IS NULL")
    assert len({tuple(row[0].split(":")[1:]) for row in rows}) == len(rows) == 2
