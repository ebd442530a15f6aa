"""Keys of Solana that are with people who sign the same twice, hand one in and send the other: it is paid once."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from solders.keypair import Keypair
from solders.message import from_bytes_versioned
from solders.transaction import VersionedTransaction

from billfold.app.migrate import SETS
from billfold.chains.port import Signed
from billfold.custody import errors
from billfold.custody.contracts import Exported
from tests import second_signatures, servers
from tests.integration.withdrawals import outsiders
from tests.integration.withdrawals.test_durable_nonces import Papers, hand_in, handed_out, held, stranger
from tests.integration.withdrawals.test_outside import DEADLINE_S, banking
from tests.servers.solana import SolanaServer

#: More blocks than a recent one counts, and what has happened in them is final.
LONG = 190


class Lots(Papers):
    """A bank whose people draw lots for their signatures."""

    pair: Keypair

    async def wealthy(self) -> UUID:
        """A wallet that can withdraw."""
        await self.introduce()
        (hot,) = await self.custody.addresses.of_house(chain="solana", purpose="hot")
        self.server.faucet(hot, "2")
        # Transactions stand on a final block, and the first is that after so many.
        self.server.mine(33)
        wallet = await self.wallet()
        await self.credit(wallet, 2 * self.unit)
        return wallet

    async def otherwise(self, exported: Exported) -> Signed:
        """The same as is handed in, under another signature."""
        async with self.database.connection() as connection:
            payload: bytes = await connection.fetchval(
                "SELECT payload FROM custody.tx_queue WHERE id = $1", exported.transaction.id
            )
        signature = second_signatures.sign(self.pair, payload)
        made = VersionedTransaction.populate(from_bytes_versioned(payload), [signature])
        return Signed(raw=bytes(made), chain_tx=str(signature))


@pytest.fixture
async def bank(postgres_server: servers.PostgresServer, solana_server: SolanaServer) -> AsyncIterator[Lots]:
    dsn = postgres_server.create_database(SETS).app_dsn
    async with banking("solana", solana_server, dsn, kind=Lots) as bank:
        bank.pair = Keypair()
        bank.outsider = outsiders.solana([bank.pair, Keypair()])
        yield bank
        solana_server.control("faults")


async def test_what_is_handed_in_and_sent_under_another_signature_is_settled_and_not_paid_again(bank: Lots) -> None:
    wallet, to = await bank.wealthy(), stranger()
    before = await bank.booked(wallet)
    asked = await bank.withdraw(wallet, bank.unit // 4, to)
    exported = await handed_out(bank, asked)
    sent = await bank.otherwise(exported)

    await bank.chain.broadcast(sent)
    bank.server.mine()
    await bank.outside.accept(tx_id=exported.transaction.id, signed=bank.outsider.sign(exported))
    for _ in range(3):
        await bank.go_on()
    assert (await bank.look(asked)).status == "sent"
    bank.server.mine(LONG)
    ended = await bank.until(asked, "settled", "failed", "held")

    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    assert await bank.booked(wallet) == before - bank.unit // 4 - (ended.fee_paid or 0)
    for _ in range(3):
        await bank.go_on()
    assert await bank.outside.waiting(chain="solana") == []
    assert await held(bank, to) == bank.unit // 4
    # What the chain has is kept in the place of what was handed in.
    with pytest.raises(errors.SignedAlready):
        await bank.outside.accept(tx_id=exported.transaction.id, signed=bank.outsider.sign(exported))
    (hot,) = await bank.custody.addresses.of_house(chain="solana", purpose="hot")
    assert await held(bank, hot) == 2 * bank.unit - bank.unit // 4 - (ended.fee_paid or 0)
    assert (await bank.ledger.verify()).faults == []


async def test_of_two_that_say_the_same_under_two_signatures_the_other_is_made_anew(bank: Lots) -> None:
    wallet, to = await bank.wealthy(), stranger()
    asked = [await bank.withdraw(wallet, bank.unit // 4, to) for _ in range(2)]
    first, second = [await handed_out(bank, one) for one in asked]
    # As two that are handed out on the same final block.
    assert first.unsigned == second.unsigned
    other = await bank.otherwise(second)
    await bank.outside.accept(tx_id=second.transaction.id, signed=base64.b64encode(other.raw).decode())
    await hand_in(bank, first)
    for _ in range(3):
        await bank.go_on()
    assert await held(bank, to) == bank.unit // 4

    bank.server.mine(LONG)
    async with asyncio.timeout(DEADLINE_S):
        while {(await bank.look(one)).status for one in asked} != {"settled"}:
            await bank.go_on()
            await bank.outsider.sign_all(bank.custody, "solana")

    assert await held(bank, to) == bank.unit // 2
    assert len({(await bank.look(one)).chain_tx for one in asked}) == 2
    assert (await bank.ledger.verify()).faults == []
