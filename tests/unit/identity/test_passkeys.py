"""What strangers send as passkeys: whatever it is, it is refused in one way, and never breaks anything."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfold.identity import errors
from billfold.identity.adapters import passkeys
from billfold.identity.contracts import Assertion, NewCredential, RelyingParty
from tests.authenticators import SecurityKey, base64url

PARTY = RelyingParty(id="localhost", origins=("http://localhost:8080",))
CHALLENGE = bytes(range(32))
OPTIONS = passkeys.creation_options(
    PARTY, challenge=CHALLENGE, user_id=bytes(16), account="ada@example.com", name="Ada", known=[]
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_CBOR: st.SearchStrategy[Any] = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=20) | st.binary(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10) | st.integers(-10, 10), inner, max_size=4)
    ),
    max_leaves=10,
)


def made() -> dict[str, Any]:
    return SecurityKey().create(OPTIONS)


def register(credential: dict[str, Any]) -> passkeys.Registered:
    return passkeys.register(PARTY, msgspec.convert(credential, NewCredential), challenge=CHALLENGE)


def refused(credential: dict[str, Any]) -> None:
    with pytest.raises(errors.PasskeyInvalid):
        register(credential)


def test_what_an_authenticator_makes_is_taken() -> None:
    found = register(made())
    assert (found.sign_count, found.synced, found.transports) == (0, False, ["internal"])


def test_options_ask_for_a_passkey_that_knows_its_owner() -> None:
    wanted = OPTIONS["authenticatorSelection"]
    assert (wanted["residentKey"], wanted["userVerification"], OPTIONS["attestation"]) == (
        "required",
        "required",
        "none",
    )
    assert passkeys.request_options(PARTY, challenge=CHALLENGE)["userVerification"] == "required"


@given(st.binary(max_size=200))
def test_garbage_for_an_attestation_is_refused(garbage: bytes) -> None:
    credential = made()
    credential["response"]["attestationObject"] = base64url(garbage)
    refused(credential)


@given(_CBOR)
def test_any_other_cbor_is_refused(content: Any) -> None:
    credential = made()
    credential["response"]["attestationObject"] = base64url(cbor2.dumps(content))
    refused(credential)


@given(_JSON)
def test_any_other_client_data_is_refused(content: Any) -> None:
    credential = made()
    credential["response"]["clientDataJSON"] = base64url(json.dumps(content).encode())
    refused(credential)


@given(
    st.sampled_from(["none", "packed", "tpm", "android-key", "android-safetynet", "fido-u2f", "apple", "x", ""]),
    st.dictionaries(
        st.sampled_from(["ver", "alg", "x5c", "response", "certInfo", "pubArea", "sig"]), _CBOR, min_size=1
    ),
)
def test_hostile_attestations_are_refused(form: str, statement: dict[str, Any]) -> None:
    refused(SecurityKey().create(OPTIONS, fmt=form, attStmt=statement))


@given(st.data())
def test_a_changed_byte_is_refused_or_changes_nothing_that_is_checked(data: st.DataObject) -> None:
    key = SecurityKey()
    credential = key.create(OPTIONS)
    encoded = credential["response"]["attestationObject"]
    place = data.draw(st.integers(0, len(encoded) - 1))
    changed = encoded[:place] + data.draw(st.sampled_from("Ab0_-9zZ")) + encoded[place + 1 :]
    credential["response"]["attestationObject"] = changed
    with suppress(errors.PasskeyInvalid):
        register(credential)


@pytest.mark.parametrize(
    "bomb",
    [b"\x81" * 12_000, b"\xa1\x00" * 6_000, b"\x9b" + b"\xff" * 8, b"\x5b" + b"\xff" * 8, b"\xc2\x5b" + b"\x7f" * 8],
    ids=["nested lists", "nested maps", "endless list", "endless bytes", "endless number"],
)
def test_bombs_do_not_go_off(bomb: bytes) -> None:
    credential = made()
    credential["response"]["attestationObject"] = base64url(bomb)
    refused(credential)


@given(st.binary(max_size=120), st.binary(max_size=120))
def test_garbage_for_a_signature_is_refused(data: bytes, signature: bytes) -> None:
    key = SecurityKey()
    known = register(key.create(OPTIONS))
    credential = key.get(passkeys.request_options(PARTY, challenge=CHALLENGE))
    credential["response"] |= {"authenticatorData": base64url(data), "signature": base64url(signature)}
    with pytest.raises(errors.SecondFactorWrong):
        passkeys.verify(PARTY, msgspec.convert(credential, Assertion), challenge=CHALLENGE, public_key=known.public_key)


@pytest.mark.parametrize("key", [b"", b"\x00", cbor2.dumps({}), cbor2.dumps({1: 2, 3: -7, -1: 1, -2: b"", -3: b""})])
def test_a_public_key_that_is_none_verifies_nothing(key: bytes) -> None:
    owner = SecurityKey()
    register(owner.create(OPTIONS))
    signed = msgspec.convert(owner.get(passkeys.request_options(PARTY, challenge=CHALLENGE)), Assertion)
    with pytest.raises(errors.SecondFactorWrong):
        passkeys.verify(PARTY, signed, challenge=CHALLENGE, public_key=key)


@given(_JSON)
def test_what_is_no_credential_at_all_is_told_by_its_form(content: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(content, NewCredential)
