"""WebAuthn level 2, as the library webauthn speaks it.

Passkeys are discoverable, so that nobody needs to name themselves, and their authenticator recognises its owner: one is
two factors. No attestation is asked for: it would tell who made the authenticator, which is nobody's business here.

The library brings ASN.1, X.509 and OpenSSL along, for attestations. It is loaded with the first passkey: no start waits
for it, and processes that serve nobody never have it in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from billfold.identity import errors
from billfold.identity.contracts import WAITS, Assertion, NewCredential, RelyingParty

if TYPE_CHECKING:
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

_TIMEOUT_MS = int(WAITS.total_seconds() * 1000)
#: Those of the standard; what else a browser names is left out.
_TRANSPORTS = frozenset({"usb", "nfc", "ble", "smart-card", "internal", "cable", "hybrid"})


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
    import webauthn  # noqa: PLC0415
    from webauthn.helpers import options_to_json_dict, structs  # noqa: PLC0415

    return options_to_json_dict(
        webauthn.generate_registration_options(
            rp_id=party.id,
            rp_name=party.name,
            user_id=user_id,
            user_name=account,
            user_display_name=name,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            authenticator_selection=structs.AuthenticatorSelectionCriteria(
                resident_key=structs.ResidentKeyRequirement.REQUIRED,
                user_verification=structs.UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[_descriptor(credential) for credential in known],
        )
    )


def request_options(party: RelyingParty, *, challenge: bytes, known: Iterable[Known] = ()) -> Mapping[str, Any]:
    """What `navigator.credentials.get()` takes, as JSON; without `known` whoever is there chooses who they are."""
    import webauthn  # noqa: PLC0415
    from webauthn.helpers import options_to_json_dict, structs  # noqa: PLC0415

    return options_to_json_dict(
        webauthn.generate_authentication_options(
            rp_id=party.id,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            allow_credentials=[_descriptor(credential) for credential in known],
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        )
    )


def register(party: RelyingParty, credential: NewCredential, *, challenge: bytes) -> Registered:
    """The passkey that was made for `challenge`.

    Raises:
        PasskeyInvalid: it wasn't, or not by one of our pages, or its owner was not recognised.
    """
    import webauthn  # noqa: PLC0415

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
    import webauthn  # noqa: PLC0415

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
    from webauthn.helpers import base64url_to_bytes  # noqa: PLC0415

    try:
        return base64url_to_bytes(text)
    except ValueError as error:
        raise errors.SecondFactorWrong from error


def _descriptor(credential: Known) -> PublicKeyCredentialDescriptor:
    from webauthn.helpers.structs import AuthenticatorTransport, PublicKeyCredentialDescriptor  # noqa: PLC0415

    return PublicKeyCredentialDescriptor(
        id=credential.id,
        transports=[AuthenticatorTransport(name) for name in credential.transports if name in _TRANSPORTS],
    )
