"""What transactions of ours weigh and cost: sizes in virtual bytes (BIP-141), rates in satoshi for 1,000 of them."""

from __future__ import annotations

from collections.abc import Iterable

#: Below it nodes neither pass a transaction on nor take a replacement: 1 satoshi for a virtual byte, as Bitcoin Core
#: and btcd have it by default. Newer nodes take less; then we pay a little more than we must.
RELAY_FEE = 1_000
#: By as much a replacement must pay more than what it replaces (BIP-125, rule 4).
INCREMENT = 1_000
#: The rate that dust is reckoned by (Bitcoin Core's dustrelayfee).
DUST_FEE = 3_000
#: Version, lock time, counts, marker: 10.5, and counts of more than 252 inputs or outputs have two bytes more.
_BASE_VSIZE = 15
#: Coin, empty script, sequence: 41, and a quarter of 108 for a signature of at most 72 bytes and a key.
INPUT_VSIZE = 68
#: Value, length, and the script of BIP-84.
CHANGE_VSIZE = 31
#: The least amount that it may have.
CHANGE_DUST = 294
#: With so many coins a payment is no dearer than was estimated: it has a change, or leaves over less than one more coin
#: would cost.
INPUTS_FEW = 3
#: What nodes pass on would be five times as many, but each brings the transaction that it spends from to be signed.
INPUTS_MAX = 300
_LEGACY_INPUT_VSIZE = 148


def fee_for(rate: int, vsize: int) -> int:
    """Satoshi, rounded up."""
    return -(-rate * vsize // 1_000)


def output_vsize(script: bytes) -> int:
    """Of an output."""
    return 8 + (1 if len(script) < 0xFD else 3) + len(script)  # noqa: PLR2004 - the format's own mark


def vsize(inputs: int, scripts: Iterable[bytes]) -> int:
    """The most that a transaction with so many inputs of ours and these outputs has."""
    return _BASE_VSIZE + inputs * INPUT_VSIZE + sum(map(output_vsize, scripts))


def dust(script: bytes) -> int:
    """The least amount that nodes let be paid to a script, in satoshi."""
    witness = script[:2] in {b"\x00\x14", b"\x00\x20", b"\x51\x20"}
    return DUST_FEE * (output_vsize(script) + (INPUT_VSIZE - 1 if witness else _LEGACY_INPUT_VSIZE)) // 1_000
