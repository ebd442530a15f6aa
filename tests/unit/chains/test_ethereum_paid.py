"""Whether a token was paid, by what it tells: money that has left is never taken for money that has not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from billfold.chains.ethereum import addresses, sending, transactions
from billfold.chains.ethereum.node import Log, RawBlock, Receipt
from billfold.chains.port import Allocation, Fate, Found, Signed

TOKEN, OTHER, HOT, TO, TAX = (addresses.checksummed(bytes([number]) * 20) for number in range(1, 6))
TRANSFER = bytes.fromhex("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef")
ASKED = 1_000_000
BLOCK, TX = "0x" + 64 * "1", "0x" + 64 * "2"


class Told:
    """A node that has the transaction in a block, with these transfers told of."""

    def __init__(self, *told: tuple[str, str, str, int], succeeded: bool = True) -> None:
        logs = (_log(place, *one) for place, one in enumerate(told))
        self._receipt = Receipt(
            chain_tx=TX, block=BLOCK, height=7, succeeded=succeeded, gas_used=1, gas_price=1, logs=tuple(logs)
        )

    async def receipt(self, _chain_tx: str) -> Receipt:
        return self._receipt

    async def block(self, at: int) -> RawBlock:
        return RawBlock(height=at, hash=BLOCK, parent="", time=datetime.now(UTC), base_fee=1, txs=())


def _log(place: int, token: str, sender: str, to: str, amount: int) -> Log:
    topics = (TRANSFER, *(bytes(12) + addresses.raw(one) for one in (sender, to)))
    return Log(position=place, address=token, topics=topics, data=amount.to_bytes(32, "big"))


async def found(node: Any) -> Found:
    call = transactions.Call(
        chain_id=1,
        nonce=0,
        max_priority_fee_per_gas=1,
        max_fee_per_gas=2,
        gas=100_000,
        to=TOKEN,
        value=0,
        data=transactions.transfer(TO, ASKED),
    )
    signed = Signed(raw=transactions.encode_signed(call, parity=0, r=1, s=1), chain_tx=TX)
    return await sending.find(node, signed, Allocation(source=HOT, nonce=0))


async def test_what_left_and_arrived_as_it_was_asked_is_nothing_to_speak_of() -> None:
    said = await found(Told((TOKEN, HOT, TO, ASKED)))
    assert (said.fate, said.succeeded, said.reason) == (Fate.MINED, True, "")


@pytest.mark.parametrize(
    "told",
    [
        [(HOT, TO, 999_000)],
        [(HOT, TO, 999_000), (HOT, TAX, 1_000)],
        [(HOT, TO, ASKED), (HOT, TAX, 1_000)],
        [(HOT, TAX, ASKED)],
        [(HOT, TAX, ASKED), (TAX, TO, 999_000)],
        [(TAX, TO, ASKED)],
    ],
)
async def test_what_has_left_otherwise_than_it_was_asked_has_left(told: list[tuple[str, str, int]]) -> None:
    said = await found(Told(*((TOKEN, *one) for one in told)))
    assert said.succeeded
    assert said.reason.startswith("the token tells that ")


async def test_a_payment_has_failed_where_nothing_of_the_token_has_moved_for_us() -> None:
    for node in (Told(), Told((OTHER, HOT, TO, ASKED)), Told((TOKEN, TAX, OTHER, ASKED)), Told((TOKEN, HOT, TO, 0))):
        said = await found(node)
        assert (said.succeeded, said.reason) == (False, "the token tells of no such transfer")
    said = await found(Told((TOKEN, HOT, TO, ASKED), succeeded=False))
    assert (said.succeeded, said.reason) == (False, "it was reverted")
