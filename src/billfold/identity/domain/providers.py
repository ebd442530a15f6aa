"""What a provider's tokens must say to be believed, and how much of it counts here.

Signatures are the adapter's; what arrives here is signed by the provider, or comes from itself.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256, sha512
from typing import Any

import msgspec

from billfold.identity import errors
from billfold.identity.contracts import ACTING_ROLES, OWNING_ROLES, PERSONAL, Provider, scopes_of
from billfold.identity.domain import addresses, names

Claims = Mapping[str, Any]

#: Algorithms that are taken, whatever a token or a provider says. None of them is `none`, and none has a shared key,
#: so that no public key can be made to serve as one.
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
#: How far the clocks of two servers may be apart.
SKEW_S = 30
#: How long somebody may take to log in at the provider.
LOGIN_LASTS = timedelta(minutes=10)
SECRET_BYTES = 32
_SUBJECT_MAX = 255
#: An ID token is made for the login that it ends; an old one is somebody else's.
_ID_TOKEN_AGE_MAX_S = 600
#: Methods that are a second factor, or more than one (RFC 8176; `fido` is what Microsoft and Okta say of passkeys).
#: A short message is none of them: numbers are stolen.
_SECOND_FACTORS = frozenset({"mfa", "otp", "hwk", "fido"})

_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
_LOCALE_MAX = 35
#: A path of ours: what browsers take for another server begins with two slashes or backslashes, or with a scheme.
_LOCAL = re.compile(r"/(?!/)[!-\[\]-~]{0,499}", re.ASCII)
_SECRET = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
#: The types of access tokens by RFC 9068, and of tokens that say nothing.
_ACCESS_TYPES = frozenset({"at+jwt", "application/at+jwt"})
_PLAIN_TYPES = frozenset({"jwt", ""})
#: What only a person's login has. A client of a program's must not give it to anybody.
_OF_PEOPLE = ("sid", "session_state", "auth_time", "nonce")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of somebody."""

    subject: str
    display_name: str
    locale: str
    #: Only one that the provider has verified.
    email: str | None
    #: What people recognise the account by.
    name: str


def check_return_to(path: str) -> str:
    """The path, when it leads to this server.

    Raises:
        ReturnToInvalid.
    """
    if not _LOCAL.fullmatch(path):
        raise errors.ReturnToInvalid(pointer="return_to")
    return path


def secret_text(secret: bytes) -> str:
    """A secret of 256 random bits as it stands in addresses and cookies."""
    assert len(secret) == SECRET_BYTES, "a secret has 256 random bits"
    return _base64(secret)


def secret_hash(text: str | None) -> bytes | None:
    """What is kept of a state or a browser's secret; None if the text is neither."""
    return sha256(text.encode("ascii")).digest() if text is not None and _SECRET.fullmatch(text) else None


def verifier(state: str, browser: str) -> str:
    """PKCE's code verifier (RFC 7636) of a login, which nobody can make who has not both secrets."""
    return _base64(hmac.digest(browser.encode("ascii"), b"verifier " + state.encode("ascii"), "sha256"))


def challenge(text: str) -> str:
    """PKCE's S256 of a verifier."""
    return _base64(sha256(text.encode("ascii")).digest())


def nonce(state: str, browser: str) -> str:
    """What the ID token of this login must bear."""
    return _base64(hmac.digest(browser.encode("ascii"), b"nonce " + state.encode("ascii"), "sha256"))


def check_access_token(provider: Provider, claims: Claims, *, kind: str, now: float) -> None:
    """Go on only if this is an access token of the provider, for us, and good now. `kind` is its header's typ.

    Raises:
        ProviderTokenInvalid.
    """
    _check_issued(provider, claims, now=now, error=errors.ProviderTokenInvalid)
    if provider.audience not in _audience(claims):
        raise errors.ProviderTokenInvalid(f"This token is not for {provider.audience}.")
    if not _is_access_token(provider, claims, kind.lower()):
        raise errors.ProviderTokenInvalid("This is no access token.")


def check_id_token(
    provider: Provider, claims: Claims, *, kind: str, algorithm: str, nonce: str, access_token: str, now: float
) -> None:
    """Go on only if the ID token ends the login with this `nonce` (OpenID Connect Core 3.1.3.7).

    Raises:
        LoginAnswerInvalid.
    """
    wrong = errors.LoginAnswerInvalid
    _check_issued(provider, claims, now=now, error=wrong)
    audience = _audience(claims)
    if kind.lower() not in _PLAIN_TYPES or provider.client_id not in audience:
        raise wrong
    if claims.get("azp", provider.client_id) != provider.client_id or (len(audience) > 1 and "azp" not in claims):
        raise wrong
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise wrong
    if "iat" not in claims or claims["iat"] < now - _ID_TOKEN_AGE_MAX_S:
        raise wrong
    if "at_hash" in claims and claims["at_hash"] != _half_hash(access_token, algorithm):
        raise wrong


def is_program(provider: Provider, claims: Claims) -> str | None:
    """The client that the token is of, when that is a program; None for a person's.

    Only clients that the operator has named are programs: what a token says of itself could be anybody's choice.

    Raises:
        ProviderTokenInvalid: a person has got it by a program's client.
    """
    client = claims.get("azp", claims.get("client_id"))
    if not isinstance(client, str) or client not in provider.services:
        return None
    if any(claim in claims for claim in _OF_PEOPLE):
        raise errors.ProviderTokenInvalid(f"The client {client} is a program's, and no person can use it.")
    return client


def has_second_factor(provider: Provider, claims: Claims) -> bool:
    """Whether the provider says in an ID token that it has checked a second factor for this very login."""
    methods, reached = claims.get("amr"), claims.get("acr")
    if isinstance(methods, list) and any(isinstance(one, str) and one in _SECOND_FACTORS for one in methods):
        return True
    return isinstance(reached, str) and reached in provider.second_factor_acr


def person(claims: Claims) -> Person:
    """Whom the token is of."""
    display_name = _name(claims.get("name")) or _name(claims.get("preferred_username")) or "New user"
    locale = claims.get("locale")
    good = isinstance(locale, str) and len(locale) <= _LOCALE_MAX and _LOCALE.fullmatch(locale)
    return Person(
        subject=str(claims["sub"]),
        display_name=display_name,
        locale=str(locale) if good else "en",
        email=_verified_email(claims),
        name=_name(claims.get("preferred_username")) or display_name,
    )


def scopes_of_person(provider: Provider, claims: Claims) -> frozenset[str]:
    """What a person's access token carries: the role `user`, and what the operator's map makes of the token's roles.

    A role that acts on everybody's things takes the place of `user`: with both, one's own rights would reach everybody.

    Roles that the person has here are not added: a token of the provider never carries more than the provider says and
    the map allows. Nor does it carry what needs a login here: one's own profile, giving roles, approving.
    """
    said = _at(claims, provider.roles_claim)
    given = said if isinstance(said, list) else []
    roles = {provider.roles[role] for role in given if isinstance(role, str) and role in provider.roles}
    acting = not roles.isdisjoint(ACTING_ROLES)
    return scopes_of(frozenset(roles - OWNING_ROLES if acting else roles | {"user"})) - PERSONAL


def scopes_of_program() -> frozenset[str]:
    """What a program's access token carries: its own wallets, and nothing beyond, whatever the token says."""
    return scopes_of(frozenset({"service"})) - PERSONAL


def _check_issued(provider: Provider, claims: Claims, *, now: float, error: type[Exception]) -> None:
    if claims.get("iss") != provider.issuer:
        raise error("This token is of another issuer.")
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if "exp" not in times or not all(type(value) in (int, float) for value in times.values()):
        raise error("This token has no times to go by.")
    if times["exp"] + SKEW_S <= now:
        raise error("This token has expired.")
    if max(times.get("nbf", 0), times.get("iat", 0)) > now + SKEW_S:
        raise error("This token is not good yet.")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _SUBJECT_MAX or "\0" in subject:
        raise error("This token names nobody.")


def _is_access_token(provider: Provider, claims: Claims, kind: str) -> bool:
    """Whether it is one by its type: an ID token of ours must never pass for one, although we are its audience."""
    if kind in _ACCESS_TYPES:
        return True
    if kind not in _PLAIN_TYPES:
        return False
    # Keycloak says it inside.
    inner = claims.get("typ")
    if inner is not None:
        return bool(inner == "Bearer")
    # Of other providers the audience must tell: that of an ID token is the client's id.
    return provider.audience != provider.client_id and provider.client_id not in _audience(claims)


def _audience(claims: Claims) -> list[Any]:
    said = claims.get("aud")
    return said if isinstance(said, list) else [said]


def _verified_email(claims: Claims) -> str | None:
    said = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(said, str):
        return None
    try:
        return addresses.email(said)
    except errors.InvalidEmail:
        return None


def _name(said: Any) -> str:
    if not isinstance(said, str):
        return ""
    try:
        return names.display_name(said)
    except errors.InvalidDisplayName:
        return ""


def _at(claims: Claims, path: tuple[str, ...]) -> Any:
    found: Any = claims if path else None
    for step in path:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _half_hash(token: str, algorithm: str) -> str:
    digest = (sha512 if algorithm in {"EdDSA", "Ed25519"} else sha256)(token.encode()).digest()
    return _base64(digest[: len(digest) // 2])


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
