"""Second factors: authenticator apps, passkeys and recovery codes."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from billfold.kernel import forms

#: By what somebody can prove that it is them.
FactorMethod = Literal["totp", "passkey", "recovery_code"]
PASSKEYS_MAX = 20
RECOVERY_CODES = 10
#: Something that waits for somebody's factor waits so long, and no longer.
WAITS = timedelta(minutes=5)
#: Wrong factors for one login or one approval; then it has to begin again.
ATTEMPTS_MAX = 5

#: In Python $ also matches before a last line feed; this means the same to JSON Schema and to Python.
_END = r"$(?!\n)"
_BASE64URL = forms.pattern(r"^[A-Za-z0-9_-]*" + _END, "base64url without padding")
#: Of base64: a credential's id has up to 1,023 bytes, everything else that is signed is shorter by far.
_TEXT_MAX = 4_096
#: Of base64: we ask for no attestation, and some authenticators send their certificates all the same.
_ATTESTATION_MAX = 16_384

FactorName = Annotated[
    str,
    Meta(
        description="What its owner calls it.",
        examples=["Ada's phone"],
        min_length=1,
        max_length=100,
        pattern=forms.NO_NUL,
    ),
]
Totp = Annotated[
    str,
    Meta(
        description="The code that the authenticator app shows now.",
        examples=["492039"],
        pattern=forms.pattern(r"^[0-9]{6}" + _END, "6 digits"),
    ),
]
RecoveryCode = Annotated[
    str,
    Meta(
        description="One that was not used before.",
        examples=["k7dq-2m4x-w3hb-5tzp-lw6a-n2yc"],
        min_length=1,
        max_length=64,
    ),
]
Base64 = Annotated[str, Meta(max_length=_TEXT_MAX, pattern=_BASE64URL)]


class RelyingParty(msgspec.Struct, frozen=True, kw_only=True):
    """Whom passkeys are for: a passkey made for one of them is good at no other."""

    #: A host name; a passkey belongs to it for ever.
    id: str
    #: Where the pages are that may use passkeys: scheme, host and port.
    origins: tuple[str, ...]
    name: str = "Billfold"


class AttestationResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an authenticator says of a new passkey. Fields that a browser adds are passed over."""

    client_data_json: Base64 = msgspec.field(name="clientDataJSON")
    attestation_object: Annotated[str, Meta(max_length=_ATTESTATION_MAX, pattern=_BASE64URL)]
    transports: Annotated[list[Annotated[str, Meta(max_length=20)]], Meta(max_length=10)] = []


class AssertionResponse(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an authenticator signs with a passkey. Fields that a browser adds are passed over."""

    client_data_json: Base64 = msgspec.field(name="clientDataJSON")
    authenticator_data: Base64
    signature: Base64
    user_handle: Annotated[str, Meta(max_length=128, pattern=_BASE64URL)] | None = None


class NewCredential(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A new passkey, as the browser's `PublicKeyCredential.toJSON()` gives it."""

    id: Base64
    raw_id: Base64
    type: Literal["public-key"]
    response: AttestationResponse


class Assertion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The use of a passkey, as the browser's `PublicKeyCredential.toJSON()` gives it."""

    id: Base64
    raw_id: Base64
    type: Literal["public-key"]
    response: AssertionResponse


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of somebody's factors: exactly one of these."""

    totp: Totp | None = None
    recovery_code: RecoveryCode | None = None
    passkey: Assertion | None = None


#: What the browser's `navigator.credentials.create()` and `.get()` take, in the JSON form of WebAuthn level 3.
Options = Annotated[
    Mapping[str, Any],
    Meta(description="For `PublicKeyCredential.parseCreationOptionsFromJSON()` or `parseRequestOptionsFromJSON()`."),
]


class PasskeyChallenge(msgspec.Struct, frozen=True, kw_only=True):
    """What an authenticator is to sign. It can be answered once, within five minutes."""

    challenge_id: str
    expires_at: datetime
    options: Options


class NewTotp(msgspec.Struct, frozen=True, kw_only=True):
    """The secret of a new authenticator app. It counts once a code of it has been sent."""

    secret: Annotated[str, Meta(description="To type into the app, in base32.")]
    uri: Annotated[str, Meta(description="The same for a QR code, or as a link: otpauth://totp/…")]
    expires_at: Annotated[datetime, Meta(description="Until when the first code has to come.")]


class TotpFactor(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticator app."""

    created_at: datetime
    last_used_at: datetime | None


class Passkey(msgspec.Struct, frozen=True, kw_only=True):
    """A passkey, of which this service knows the public half alone."""

    id: str
    name: str
    synced: Annotated[bool, Meta(description="Whether its maker keeps copies of it on its owner's other devices.")]
    created_at: datetime
    last_used_at: datetime | None


class Factors(msgspec.Struct, frozen=True, kw_only=True):
    """By what else than a password somebody can prove that it is them."""

    totp: TotpFactor | None
    passkeys: list[Passkey]
    recovery_codes: Annotated[int, Meta(description="How many are left.")]


class AddedFactor(msgspec.Struct, frozen=True, kw_only=True):
    """The factors with the one that was just added. The first one comes with recovery codes, which are shown once."""

    factors: Factors
    recovery_codes: list[str] | None


class RecoveryCodes(msgspec.Struct, frozen=True, kw_only=True):
    """New recovery codes, each good for once. They are shown once; the earlier ones are no good any more."""

    recovery_codes: list[str]


class SecondFactor(msgspec.Struct, frozen=True, kw_only=True):
    """What a login still needs: send the token with a factor to /auth/mfa."""

    token: str
    methods: list[FactorMethod]
    expires_at: datetime
    #: For a passkey; null if there is none.
    passkey_options: Options | None
