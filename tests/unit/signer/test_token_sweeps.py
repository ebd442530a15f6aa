"""What the signer's policy says of Solana's sweeps of tokens, whose fee the hot address pays."""

from __future__ import annotations

import pytest

from billfold.chains.port import Payment
from billfold.chains.signing_port import Place, Purpose
from billfold.chains.solana import keys, signing, sweeps
from billfold.signer import errors
from billfold.signer.contracts import Expected, Limit
from billfold.signer.domain import policy
from billfold.signer.domain.policy import Reading, Rules

SEED = bytes(range(64))
MINT = "So11111111111111111111111111111111111111112"
BLOCKHASH = "11111111111111111111111111111111"


def at(purpose: Purpose, index: int) -> tuple[str, Place]:
    place = Place(purpose=purpose, index=index)
    return str(keys.keypair(SEED, place).pubkey()), place


HOT, SECOND, DEPOSIT, NEIGHBOUR = at("hot", 0), at("hot", 1), at("deposit", 4), at("deposit", 5)


def read(payer: tuple[str, Place], owner: tuple[str, Place], *, expected: int = 9) -> Reading:
    """As the signer goes about it: the bytes, the places, what was expected, whose keys they are."""
    sweep = sweeps.Sweep(
        payer=payer[0],
        owner=owner[0],
        token=MINT,
        amount=9,
        decimals=6,
        opens=True,
        blockhash=BLOCKHASH,
        units=1_000_000,
        micro_lamports=3,
    )
    shown, places = signing.read(sweeps.message(sweep), network="main"), dict([payer, owner])
    policy.check_places(shown, places, {place: address for address, place in places.items()})
    payments = [Payment(address=payer[0], amount=expected, token=MINT)]
    reading = policy.compare(shown, Expected(payments=payments, fee_max=sweep.fee_max), places)
    policy.check_sweep("solana", reading, places)
    return reading


def test_a_deposits_tokens_go_to_the_hot_address_and_its_fee_alone_counts() -> None:
    reading = read(HOT, DEPOSIT)
    fee_max = 2 * 5_000 + 3 + 2_039_280
    assert policy.leaving(reading) == {None: fee_max}

    def limited(per_transaction: int) -> Rules:
        limit = Limit(
            chain="solana",
            network="main",
            token=None,
            per_transaction=per_transaction,
            per_window=10**9,
            window_s=86_400,
        )
        return Rules(limits={None: limit}, allowed=set())

    assert policy.check_rules(limited(fee_max), "main", reading, {}) == {None: fee_max}
    with pytest.raises(errors.LimitExceeded):
        policy.check_rules(limited(fee_max - 1), "main", reading, {})


@pytest.mark.parametrize("payer", [SECOND, NEIGHBOUR])
def test_nobody_else_gets_them_for_paying_the_fee(payer: tuple[str, Place]) -> None:
    with pytest.raises(errors.SweepElsewhere):
        read(payer, DEPOSIT)


def test_the_hot_address_gives_its_own_tokens_to_no_deposit_that_pays_the_fee() -> None:
    with pytest.raises(errors.SweepElsewhere):
        read(DEPOSIT, HOT)


def test_another_amount_than_is_expected_is_refused() -> None:
    with pytest.raises(errors.NotAsExpected):
        read(HOT, DEPOSIT, expected=8)
