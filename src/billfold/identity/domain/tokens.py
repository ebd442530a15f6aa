"""How an access token is written and read: a JWT (RFC 9068), signed with EdDSA (RFC 8037) and with nothing else.

A token is read in three steps: its form, its signature, its claims. Nothing in it decides how it is checked, but for
the `kid` that names one of our own keys.
"""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

import msgspec

from billfold.identity import errors
from billfold.identity.contracts import Claims
from billfold.kernel import clock

ALGORITHM: Literal["EdDSA"] = "EdDSA"
TYPE: Literal["at+jwt"] = "at+jwt"
AUDIENCE = "billfold"
#: RFC 9068 wants to know which program a token was given to; all of ours are given to our own.
CLIENT = "billfold"
#: Ours have less than a quarter of it.
TOKEN_MAX_BYTES = 4096
#: How far the clocks of our machines may be apart.
LEEWAY_S = 5

_FORM = re.compile(rb"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole header of a token. Whatever else a header can hold, such as `crit` or a key of its own, is refused."""

    alg: Literal["EdDSA"]
    kid: str
    typ: Literal["at+jwt"]


class Unverified(msgspec.Struct, frozen=True):
    """A token of which only the form is known to be right."""

    key_id: str
    signed: bytes
    signature: bytes
    payload: bytes


_header = msgspec.json.Decoder(Header)
_claims = msgspec.json.Decoder(Claims)


def unsigned(
    *,
    key_id: str,
    issuer: str,
    user_id: UUID,
    session_id: UUID,
    scopes: frozenset[str],
    roles: frozenset[str],
    methods: tuple[str, ...],
    authenticated_at: datetime,
    token_id: UUID,
    now: datetime,
    seconds: int,
) -> tuple[bytes, Claims]:
    """What the key signs, and the claims in it."""
    issued_at = int(now.timestamp())
    claims = Claims(
        iss=issuer,
        aud=AUDIENCE,
        sub=user_id,
        client_id=CLIENT,
        sid=session_id,
        scope=" ".join(sorted(scopes)),
        roles=sorted(roles),
        amr=list(methods),
        auth_time=int(authenticated_at.timestamp()),
        iat=issued_at,
        exp=issued_at + seconds,
        jti=str(token_id),
    )
    header = Header(alg=ALGORITHM, kid=key_id, typ=TYPE)
    return _encoded(msgspec.json.encode(header)) + b"." + _encoded(msgspec.json.encode(claims)), claims


def signed(text: bytes, signature: bytes) -> str:
    """The token of what was signed."""
    return (text + b"." + _encoded(signature)).decode("ascii")


def is_token(text: bytes) -> bool:
    """Whether the text has the form of a JWT, whosesoever it is."""
    return len(text) <= TOKEN_MAX_BYTES and _FORM.fullmatch(text) is not None


def read(token: bytes) -> Unverified:
    """The parts of a token that names one of our algorithms, types and keys; its signature is still to be checked.

    Raises:
        TokenInvalid.
    """
    found = _FORM.fullmatch(token) if len(token) <= TOKEN_MAX_BYTES else None
    if found is None:
        raise errors.TokenInvalid("This is no access token.")
    header, payload, signature = (_decoded(part) for part in found.groups())
    try:
        key_id = _header.decode(header).kid
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.TokenInvalid("This is no access token of this service.") from error
    return Unverified(key_id, token[: found.end(2)], signature, payload)


def claims_of(payload: bytes, *, issuer: str, now: datetime) -> Claims:
    """The claims of a token whose signature is right.

    Raises:
        TokenInvalid: they are not for us, or not for now.
    """
    try:
        claims = _claims.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.TokenInvalid("The claims of this access token are not as they should be.") from error
    if claims.iss != issuer or claims.aud != AUDIENCE:
        raise errors.TokenInvalid("This access token was given out by or for another service.")
    seconds = now.timestamp()
    if seconds >= claims.exp + LEEWAY_S:
        raise errors.TokenInvalid("This access token has expired; refresh it, or log in again.")
    if max(claims.iat, claims.auth_time) > seconds + LEEWAY_S:
        raise errors.TokenInvalid("This access token is from the future; set the clocks of your servers.")
    return claims


def expires_at(claims: Claims) -> datetime:
    """When the token ends."""
    return clock.EPOCH + timedelta(seconds=claims.exp)


def refused_from(claims: Claims) -> datetime:
    """From when on it is refused, however far our clocks are apart."""
    return expires_at(claims) + timedelta(seconds=LEEWAY_S)


def scopes(claims: Claims) -> frozenset[str]:
    """What the token lets its bearer do at most."""
    return frozenset(claims.scope.split())


def key_id(public: bytes) -> str:
    """The name of a public key of Ed25519: its thumbprint by RFC 7638 and RFC 8037 (A.3)."""
    text = f'{{"crv":"Ed25519","kty":"OKP","x":"{_encoded(public).decode()}"}}'
    return _encoded(sha256(text.encode()).digest()).decode()


def jwk(public: bytes) -> dict[str, Any]:
    """A public key of Ed25519 as others read it (RFC 7517)."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": _encoded(public).decode(),
        "kid": key_id(public),
        "alg": ALGORITHM,
        "use": "sig",
    }


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


def _decoded(part: bytes) -> bytes:
    """What the part holds. There is one text for each content: the loose ends of the last character are zero."""
    if len(part) % 4 == 1:
        raise errors.TokenInvalid("This is no access token.")
    content = base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4))
    if _encoded(content) != part:
        raise errors.TokenInvalid("This is no access token.")
    return content
