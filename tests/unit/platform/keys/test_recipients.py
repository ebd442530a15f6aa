"""What is sealed for a recipient opens for them alone."""

import pytest

from billfold.platform.keys import SealBroken, recipients

PRIVATE = recipients.private_key()
PUBLIC = recipients.public_key(PRIVATE)


def test_it_opens_with_the_private_key_and_for_its_context_alone() -> None:
    sealed = recipients.seal(PUBLIC, b"plain", context=b"here")
    assert recipients.open_(PRIVATE, sealed, context=b"here") == b"plain"
    assert recipients.seal(PUBLIC, b"plain", context=b"here") != sealed
    for private, content, context in (
        (recipients.private_key(), sealed, b"here"),
        (PRIVATE, sealed, b"there"),
        (PRIVATE, sealed[:-1] + bytes([sealed[-1] ^ 1]), b"here"),
        (PRIVATE, bytes([sealed[0] ^ 1]) + sealed[1:], b"here"),
        (PRIVATE, sealed[:40], b"here"),
        (PRIVATE, b"", b"here"),
    ):
        with pytest.raises(SealBroken):
            recipients.open_(private, content, context=context)


@pytest.mark.parametrize("public", [bytes(32), b"\x01" + bytes(31), bytes(31), bytes(33)])
def test_a_key_with_which_everybody_knows_the_secret_seals_nothing(public: bytes) -> None:
    with pytest.raises(SealBroken):
        recipients.seal(public, b"plain", context=b"")
