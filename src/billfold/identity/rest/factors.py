"""One's own second factors over HTTP."""

from uuid import UUID

import msgspec
from litestar import delete, get, post

from billfold.identity import Identity, errors
from billfold.identity.contracts import (
    AddedFactor,
    FactorName,
    Factors,
    NewCredential,
    NewTotp,
    PasskeyChallenge,
    RecoveryCodes,
    Totp,
)
from billfold.identity.rest.confirming import CONFIRMING, Again
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform import web

_TAG = "Second factors"
_ID = "019aa2c6-7a00-7000-8000-00000000f001"
_AT = "2026-11-21T09:30:00.123456Z"
_FACTORS = {
    "totp": {"created_at": _AT, "last_used_at": None},
    "passkeys": [{"id": _ID, "name": "Ada's phone", "synced": True, "created_at": _AT, "last_used_at": None}],
    "recovery_codes": 10,
}
_CODES = ["k7dq-2m4x-w3hb-5tzp-lw6a-n2yc", "…"]
#: What anybody who changes their factors may meet.
_CHANGE = (errors.StepUpRequired, errors.SecondFactorMissing)
_ADDING = (*_CHANGE, *CONFIRMING)

CREDENTIAL = {
    "id": "WYs…",
    "rawId": "WYs…",
    "type": "public-key",
    "response": {"clientDataJSON": "eyJ0eXBlIjoi…", "attestationObject": "o2NmbXRk…", "transports": ["internal"]},
}
OPTIONS = {"challenge": "Lk3…", "rpId": "pay.example.com", "userVerification": "required", "allowCredentials": []}


class FirstCode(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A code of the new authenticator app."""

    code: Totp


class NewPasskey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A passkey that was made for a challenge."""

    challenge_id: str
    name: FactorName
    credential: NewCredential


@get(
    "/users/me/factors",
    opt=web.operation(summary="List your factors", tag=_TAG, scope="account", answers=_FACTORS),
)
async def list_factors(principal: Principal, identity: Identity) -> Factors:
    return await identity.factors.show(by=principal)


@post(
    "/users/me/factors/totp",
    opt=web.operation(
        summary="Start an authenticator app",
        tag=_TAG,
        scope="account",
        description="Gives the secret for the app, once. It counts when its first code has been sent to "
        "`/users/me/factors/totp/confirm`. The first factor of an account needs the password again, or without any "
        "password a login of the last ten minutes; further ones need the approval of a factor that is there.",
        errors=(*_ADDING, errors.TotpExists),
        sends={"password": "correct horse battery staple"},
        answers={
            "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "uri": "otpauth://totp/Billfold:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Billfold",
            "expires_at": _AT,
        },
    ),
)
async def start_totp(command: Again, step_up: UUID | None, principal: Principal, identity: Identity) -> NewTotp:
    return await identity.factors.start_totp(by=principal, password=command.password, proof=step_up)


@post(
    "/users/me/factors/totp/confirm",
    status_code=200,
    opt=web.operation(
        summary="Confirm an authenticator app",
        tag=_TAG,
        scope="account",
        description="The first factor of an account comes with ten recovery codes, which are shown once.",
        errors=(errors.TotpUnknown, errors.FactorsChanged, errors.SecondFactorWrong, errors.TooManyAttempts),
        sends={"code": "492039"},
        answers={"factors": _FACTORS, "recovery_codes": _CODES},
    ),
)
async def confirm_totp(command: FirstCode, principal: Principal, identity: Identity) -> AddedFactor:
    return await identity.factors.confirm_totp(by=principal, code=command.code)


@delete(
    "/users/me/factors/totp",
    status_code=200,
    opt=web.operation(
        summary="Remove the authenticator app",
        tag=_TAG,
        scope="account",
        description="Needs the approval of a factor. Recovery codes go with the last factor.",
        errors=(*_CHANGE, errors.TotpUnknown),
        answers=_FACTORS | {"totp": None},
    ),
)
async def remove_totp(step_up: UUID | None, principal: Principal, identity: Identity) -> Factors:
    return await identity.factors.remove_totp(by=principal, proof=step_up)


@post(
    "/users/me/factors/passkeys/start",
    status_code=200,
    opt=web.operation(
        summary="Start a passkey",
        tag=_TAG,
        scope="account",
        description="Gives what `navigator.credentials.create()` takes. What that gives goes to "
        "`/users/me/factors/passkeys/finish` in the same session, within five minutes. As to the password and the "
        "approval it is as with an authenticator app.",
        errors=(*_ADDING, errors.TooManyPasskeys),
        sends={"password": "correct horse battery staple"},
        answers={"challenge_id": _ID, "expires_at": _AT, "options": {"challenge": "Lk3…", "rp": {"name": "Billfold"}}},
    ),
)
async def start_passkey(
    command: Again, step_up: UUID | None, principal: Principal, identity: Identity
) -> PasskeyChallenge:
    return await identity.factors.start_passkey(by=principal, password=command.password, proof=step_up)


@post(
    "/users/me/factors/passkeys/finish",
    opt=web.operation(
        summary="Add a passkey",
        tag=_TAG,
        scope="account",
        description="A challenge is good for one attempt. The first factor of an account comes with ten recovery "
        "codes, which are shown once.",
        errors=(
            ids.InvalidId,
            errors.ChallengeUnknown,
            errors.FactorsChanged,
            errors.PasskeyInvalid,
            errors.PasskeyExists,
            errors.TooManyPasskeys,
        ),
        sends={"challenge_id": _ID, "name": "Ada's phone", "credential": CREDENTIAL},
        answers={"factors": _FACTORS, "recovery_codes": _CODES},
    ),
)
async def finish_passkey(command: NewPasskey, principal: Principal, identity: Identity) -> AddedFactor:
    return await identity.factors.finish_passkey(
        by=principal,
        challenge_id=ids.parse(command.challenge_id, pointer="/challenge_id"),
        name=command.name,
        credential=command.credential,
    )


@delete(
    "/users/me/factors/passkeys/{passkey_id:str}",
    status_code=200,
    opt=web.operation(
        summary="Remove a passkey",
        tag=_TAG,
        scope="account",
        description="Needs the approval of a factor. Recovery codes go with the last factor.",
        errors=(*_CHANGE, errors.PasskeyUnknown, ids.InvalidId),
        answers=_FACTORS | {"passkeys": []},
    ),
)
async def remove_passkey(passkey_id: str, step_up: UUID | None, principal: Principal, identity: Identity) -> Factors:
    return await identity.factors.remove_passkey(by=principal, passkey_id=ids.parse(passkey_id), proof=step_up)


@post(
    "/users/me/factors/recovery-codes",
    opt=web.operation(
        summary="Renew your recovery codes",
        tag=_TAG,
        scope="account",
        description="Ten new codes, each good once, instead of all earlier ones. Needs the approval of a factor. "
        "They are shown once: if the answer is lost, renew them again.",
        errors=_CHANGE,
        answers={"recovery_codes": _CODES},
    ),
)
async def renew_recovery_codes(step_up: UUID | None, principal: Principal, identity: Identity) -> RecoveryCodes:
    return await identity.factors.renew_recovery_codes(by=principal, proof=step_up)


handlers = [
    list_factors,
    start_totp,
    confirm_totp,
    remove_totp,
    start_passkey,
    finish_passkey,
    remove_passkey,
    renew_recovery_codes,
]
