import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billfold.platform.keys import Envelope, KeysUnavailable, NoProvider, SealBroken
from billfold.platform.keys.envelope import PLAIN_MAX_BYTES
from billfold.platform.keys.local import LocalProvider

OLD, NEW = (b"\x01" * 8, b"o" * 32), (b"\x02" * 8, b"n" * 32)
envelope = Envelope(LocalProvider(dict([OLD])))
rotated = Envelope(LocalProvider(dict([OLD, NEW])))


def sealed(plain: bytes, context: str, by: Envelope = envelope) -> bytes:
    return asyncio.run(by.seal(plain, context=context))


def opened(text: bytes, context: str, by: Envelope = envelope) -> bytes:
    return asyncio.run(by.open(text, context=context))


@given(st.binary(max_size=1000), st.text(max_size=50))
def test_what_is_sealed_is_opened_with_the_same_context(plain: bytes, context: str) -> None:
    assert opened(sealed(plain, context), context) == plain


def test_the_same_is_never_sealed_alike() -> None:
    once, again = sealed(b"plain" * 10, "here"), sealed(b"plain" * 10, "here")
    assert once != again
    assert b"plain" not in once


@given(st.text(max_size=20), st.text(max_size=20))
def test_another_context_opens_nothing(context: str, other: str) -> None:
    if context != other:
        with pytest.raises(SealBroken):
            opened(sealed(b"secret", context), other)


def test_each_changed_byte_is_noticed() -> None:
    text = sealed(b"secret", "here")
    for place in range(len(text)):
        for change in (0x01, 0x80, 0xFF):
            spoilt = bytearray(text)
            spoilt[place] ^= change
            with pytest.raises((SealBroken, KeysUnavailable)):
                opened(bytes(spoilt), "here")


def test_each_shorter_and_longer_text_is_noticed() -> None:
    text = sealed(b"secret", "here")
    for spoilt in (*(text[:length] for length in range(len(text))), text + b"\0", b"\0" + text):
        with pytest.raises(SealBroken):
            opened(spoilt, "here")


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_nothing_else_opens(text: bytes) -> None:
    with pytest.raises((SealBroken, KeysUnavailable)):
        opened(text, "here")


def test_a_key_that_was_wrapped_for_one_value_is_of_no_use_in_another() -> None:
    """Whoever can write to the database can move bytes from row to row."""
    one, other = sealed(b"secret", "one"), sealed(b"secret", "other")
    length = int.from_bytes(one[1:3])
    with pytest.raises(SealBroken):
        opened(other[: 3 + length] + one[3 + length :], "one")


def test_the_newest_master_key_seals_and_all_open() -> None:
    before, after = sealed(b"before", "here"), sealed(b"after", "here", rotated)
    assert opened(before, "here", rotated) == b"before"
    assert opened(after, "here", rotated) == b"after"
    assert opened(after, "here", Envelope(LocalProvider(dict([NEW])))) == b"after"


def test_what_another_master_key_sealed_is_said_to_be_out_of_reach() -> None:
    with pytest.raises(KeysUnavailable, match=NEW[0].hex()):
        opened(sealed(b"after", "here", rotated), "here")


def test_a_master_key_of_the_same_id_that_is_another_opens_nothing() -> None:
    with pytest.raises(SealBroken):
        opened(sealed(b"secret", "here"), "here", Envelope(LocalProvider({OLD[0]: NEW[1]})))


def test_without_master_keys_it_says_which_setting_is_missing() -> None:
    nothing = Envelope(NoProvider())
    with pytest.raises(KeysUnavailable, match=r"keys\.file"):
        sealed(b"secret", "here", nothing)
    with pytest.raises(KeysUnavailable, match=r"keys\.file"):
        opened(sealed(b"secret", "here"), "here", nothing)


def test_something_large_is_not_sealed() -> None:
    with pytest.raises(AssertionError):
        sealed(b"\0" * (PLAIN_MAX_BYTES + 1), "here")
