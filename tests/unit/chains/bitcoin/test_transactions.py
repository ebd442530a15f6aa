import contextlib

import bdkpython
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.chains.bitcoin import transactions
from billfold.chains.bitcoin.transactions import Input, Malformed, Output

#: The first block, as every node has it, and the signed transaction of BIP-143's first P2WPKH example.
GENESIS = bytes.fromhex(
    "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e67768f617fc81bc3"
    "888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c0101000000010000000000000000000000000000000000000000000000000000"
    "000000000000ffffffff4d04ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e2062"
    "72696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe554827"
    "1967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
    "ac00000000"
)
SIGNED = bytes.fromhex(
    "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc26ba6a9"
    "cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618e"
    "f3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff02202cb206000000001"
    "976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa8159"
    "88ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8"
    "f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0ad253f62fc70f07aeee635711000000"
)


def test_the_first_block_has_the_hash_that_everybody_knows() -> None:
    block = transactions.block(GENESIS)

    assert block.hash == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    assert block.transactions[0].txid == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert block.transactions[0].coinbase


def test_a_transaction_with_witnesses_is_read_as_another_library_reads_it() -> None:
    ours, theirs = transactions.transaction(SIGNED), bdkpython.Transaction(SIGNED)

    assert ours.txid == str(theirs.compute_txid())
    assert (ours.weight, ours.vsize) == (theirs.weight(), theirs.vsize())
    assert [each.value for each in ours.outputs] == [each.value.to_sat() for each in theirs.output()]
    assert [each.witness for each in ours.inputs] == [tuple(each.witness) for each in theirs.input()]


INPUTS = st.builds(
    Input,
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=300),
    st.integers(0, 2**32 - 1),
    st.lists(st.binary(max_size=80), max_size=3).map(tuple),
)
OUTPUTS = st.builds(Output, st.integers(0, 2**63 - 1), st.binary(max_size=300))


@given(inputs=st.lists(INPUTS, min_size=1, max_size=4), outputs=st.lists(OUTPUTS, min_size=1, max_size=4))
def test_what_is_written_is_read_again(inputs: list[Input], outputs: list[Output]) -> None:
    found = transactions.transaction(transactions.write(inputs=inputs, outputs=outputs).raw)

    assert list(found.inputs) == inputs
    assert list(found.outputs) == outputs


@given(noise=st.binary(max_size=200), at=st.integers(0, len(SIGNED)))
def test_noise_is_refused_or_is_the_same_when_written(noise: bytes, at: int) -> None:
    for tried in (noise, SIGNED[:at] + noise, SIGNED[:at] + noise + SIGNED[at:]):
        with contextlib.suppress(Malformed):
            assert transactions.transaction(tried).raw == tried


def test_a_header_does_not_stand_for_other_transactions() -> None:
    other = bytearray(GENESIS)
    other[-10] ^= 1
    with pytest.raises(Malformed, match="does not stand for"):
        transactions.block(bytes(other))


def test_counts_that_nobody_could_fill_are_refused_at_once() -> None:
    with pytest.raises(Malformed, match="too soon"):
        transactions.transaction(b"\x02\x00\x00\x00" + b"\xff" + b"\xff" * 7 + b"\x00")
