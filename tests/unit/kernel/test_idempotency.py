from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.kernel import idempotency, ids

OWNER = UUID("019aa2c6-7a00-7000-8000-00000000a001")
visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=idempotency.KEY_MAX)


def key(
    text: str = "order-1", *, owner: UUID = OWNER, operation: str = "post", content: bytes = b"{}"
) -> idempotency.Key:
    return idempotency.key(owner=owner, text=text, operation=operation, content=content)


@given(visible, st.binary(max_size=50))
def test_the_same_request_has_the_same_key(text: str, content: bytes) -> None:
    assert key(text, content=content) == key(text, content=content)


@given(visible, visible)
def test_different_texts_never_meet(one: str, other: str) -> None:
    assert (key(one).digest == key(other).digest) == (one == other)


def test_keys_of_different_owners_never_meet() -> None:
    assert key(owner=ids.new()).digest != key().digest


@pytest.mark.parametrize(("operation", "content"), [("post", b'{"a":1}'), ("reverse", b"{}"), ("pos", b"t\x00{}")])
def test_another_operation_or_content_under_the_same_key_is_found_out(operation: str, content: bytes) -> None:
    other = key(operation=operation, content=content)
    assert other.digest == key().digest
    assert other.fingerprint != key().fingerprint


@pytest.mark.parametrize("text", ["", "x" * 256, "é", "a\tb", "a\nb", "\x00", "\x7f", "a b", " "])
def test_other_keys_are_refused(text: str) -> None:
    with pytest.raises(idempotency.InvalidIdempotencyKey):
        key(text)


def test_a_request_without_a_key_is_the_same_in_the_same_words_of_the_same_owner() -> None:
    owner, other = ids.new(), ids.new()
    one = idempotency.key_of_content(owner=owner, operation="limits", content=b"x")
    assert one == idempotency.key_of_content(owner=owner, operation="limits", content=b"x")
    others = [
        idempotency.key_of_content(owner=other, operation="limits", content=b"x"),
        idempotency.key_of_content(owner=owner, operation="roles", content=b"x"),
        idempotency.key_of_content(owner=owner, operation="limits", content=b"y"),
    ]
    assert one.digest not in {key.digest for key in others}
