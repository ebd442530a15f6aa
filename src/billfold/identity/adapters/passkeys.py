"""WebAuthn level 2, as the library webauthn speaks it.

Passkeys are discoverable, so that nobody needs to name themselves, and their authenticator recognises its owner: one is
two factors. No attestation is asked for: it would tell who made the authenticator, which is nobody's business here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import webauthn
from webauthn.helpers import base64url_to_bytes, options_to_json_dict
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from billfold.identity import errors
from billfold.identity.contracts import WAITS, Assertion, NewCredential, RelyingParty

_TIMEOUT_MS = int(WAITS.total_seconds() * 1000)
_TRANSPORTS = {transport.value: transport for transport in AuthenticatorTransport}


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A credential that its owner has already."""

    id: bytes
    transports: list[str]


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A new passkey."""

    credential_id: bytes
    public_key: bytes
    sign_count: int
    synced: bool
    transports: list[str]


def creation_options(
    party: RelyingParty, *, challenge: bytes, user_id: bytes, account: str, name: str, known: Iterable[Known]
) -> Mapping[str, Any]:
    """What `navigator.credentials.create()` takes, as JSON. `account` is what its owner tells it from others by."""
    return options_to_json_dict(
        webauthn.generate_registration_options(
            rp_id=party.id,
            rp_name=party.name,
            user_id=user_id,
            user_name=account,
            user_display_name=name,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[_descriptor(credential) for credential in known],
        )
    )


def request_options(party: RelyingParty, *, challenge: bytes, known: Iterable[Known] = ()) -> Mapping[str, Any]:
    """What `navigator.credentials.get()` takes, as JSON; without `known` whoever is there chooses who they are."""
    return options_to_json_dict(
        webauthn.generate_authentication_options(
            rp_id=party.id,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            allow_credentials=[_descriptor(credential) for credential in known],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
    )


def register(party: RelyingParty, credential: NewCredential, *, challenge: bytes) -> Registered:
    """The passkey that was made for `challenge`.

    Raises:
        PasskeyInvalid: it wasn't, or not by one of our pages, or its owner was not recognised.
    """
    try:
        made = webauthn.verify_registration_response(
            credential=msgspec.to_builtins(credential),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            require_user_verification=True,
        )
    except Exception as error:
        # Strangers write what is parsed here (CBOR, DER, JSON), and there is no telling how it can be wrong.
        raise errors.PasskeyInvalid(pointer="/credential") from error
    return Registered(
        credential_id=made.credential_id,
        public_key=made.credential_public_key,
        sign_count=made.sign_count,
        synced=made.credential_backed_up,
        transports=[name for name in credential.response.transports if name in _TRANSPORTS],
    )


def verify(party: RelyingParty, assertion: Assertion, *, challenge: bytes, public_key: bytes) -> int:
    """The sign count with which a passkey was used for `challenge`. Whether it has gone on is the caller's to check.

    Raises:
        SecondFactorWrong: it wasn't, or not on one of our pages, or its owner was not recognised.
    """
    try:
        used = webauthn.verify_authentication_response(
            credential=msgspec.to_builtins(assertion),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            credential_public_key=public_key,
            credential_current_sign_count=0,
            require_user_verification=True,
        )
    except Exception as error:
        raise errors.SecondFactorWrong from error
    return used.new_sign_count


def credential_id(assertion: Assertion) -> bytes:
    """The id of the passkey that was used.

    Raises:
        SecondFactorWrong: it is none.
    """
    return _bytes(assertion.raw_id)


def user_handle(assertion: Assertion) -> bytes | None:
    """Whose passkey it is, as the authenticator says; None if it doesn't.

    Raises:
        SecondFactorWrong: it says nothing that could be somebody.
    """
    handle = assertion.response.user_handle
    return _bytes(handle) if handle is not None else None


def _bytes(text: str) -> bytes:
    try:
        return base64url_to_bytes(text)
    except ValueError as error:
        raise errors.SecondFactorWrong from error


def _descriptor(credential: Known) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(
        id=credential.id, transports=[_TRANSPORTS[name] for name in credential.transports if name in _TRANSPORTS]
    )
