"""Whoever has the keys signs the same twice, hands the one in and sends the other: it is paid once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
import pytest
import rlp  # type: ignore[import-untyped]  # it has no types

from billfold.app.migrate import SETS
from billfold.chains.ethereum import transactions
from billfold.chains.port import Signed
from billfold.custody.contracts import Exported
from tests import servers
from tests.integration.withdrawals.test_outside import PROVEN, STRANGERS, Bank, banking
from tests.servers.devnets import DevnetServer

#: Places of the fees per gas among the fields of a transaction of type 2.
FEES = (2, 3)


@pytest.fixture
async def bank(ethereum_server: DevnetServer, postgres_server: servers.PostgresServer) -> AsyncIterator[Bank]:
    dsn = postgres_server.create_database(SETS).app_dsn
    async with banking("ethereum", ethereum_server, dsn, kind=Bank) as bank:
        yield bank


def for_more(given: Exported) -> Exported:
    """The same payment for twice the fee, as a wallet program makes it that sets fees itself."""
    fields = rlp.decode(bytes.fromhex(given.unsigned[4:]))
    for place in FEES:
        fields[place] = (2 * int.from_bytes(fields[place], "big")).to_bytes(16, "big").lstrip(b"\0")
    return msgspec.structs.replace(given, unsigned="0x02" + rlp.encode(fields).hex())


async def test_what_is_handed_in_when_the_same_was_sent_with_another_signature_is_not_paid_again(bank: Bank) -> None:
    wallet = await bank.rich()
    before = await bank.booked(wallet)
    # Others of these tests pay them, too.
    to = STRANGERS["ethereum"]()
    had = await bank.lying(to)
    asked = await bank.withdraw(wallet, bank.unit // 4, to)
    waiting = await bank.waiting()
    exported = await bank.outside.export(tx_id=waiting.id)
    raw = bytes.fromhex(bank.outsider.sign(for_more(exported)).removeprefix("0x"))
    sent = Signed(raw=raw, chain_tx=transactions.hash_of(raw))
    await bank.chain.broadcast(sent)
    bank.server.mine(PROVEN["ethereum"])
    handed_in = await bank.outside.accept(tx_id=waiting.id, signed=bank.outsider.sign(exported))
    assert handed_in.chain_tx != sent.chain_tx
    for _ in range(5):
        await bank.go_on()
    assert await bank.outside.waiting(chain="ethereum") == [], "nothing is to be signed again"
    ended = await bank.until(asked, "settled", "failed")
    assert (ended.status, ended.chain_tx) == ("settled", sent.chain_tx)
    assert await bank.booked(wallet) == before - bank.unit // 4 - (ended.fee_paid or 0)
    assert (await bank.ledger.verify()).faults == []
    assert await bank.lying(to) == had + bank.unit // 4
