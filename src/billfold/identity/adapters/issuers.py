"""OpenID Connect providers as they answer: what they publish, the codes they take, and what they say of tokens.

Everything that comes from them is data from outside: it is fetched by `platform.fetching`, decoded strictly, and
believed no further than its signature goes.
"""

from __future__ import annotations

import warnings
from base64 import b64encode
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any, TypeAlias
from urllib.parse import quote_plus

import msgspec
from joserfc import errors as jose_errors
from joserfc import jwk, jws

from billfold.identity import errors
from billfold.identity.adapters.published import Published
from billfold.identity.adapters.unread import Header, read_header
from billfold.identity.contracts import Provider
from billfold.identity.domain.providers import ALGORITHMS
from billfold.platform.fetching import AddressRefused, Fetcher, FetchFailed

#: No provider has nearly as many, and each takes some time to read.
_KEYS_MAX = 64
_RSA_BITS_MIN = 2048
_JSON = ("application/json",)
_JWKS = ("application/json", "application/jwk-set+json")
_OK = 200

#: A key, and the algorithms that it is good for.
Key: TypeAlias = tuple[jwk.RSAKey | jwk.ECKey | jwk.OKPKey, frozenset[str]]

_FITTING: Mapping[tuple[str, str], frozenset[str]] = {
    ("RSA", ""): frozenset({"RS256", "PS256"}),
    ("EC", "P-256"): frozenset({"ES256"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
}


class Signed(msgspec.Struct, frozen=True):
    """A token whose signature is the provider's."""

    header: Header
    claims: dict[str, Any]


class Metadata(msgspec.Struct, frozen=True):
    """What a provider says of itself (OpenID Connect Discovery)."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    introspection_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Tokens(msgspec.Struct, frozen=True):
    """What a code is exchanged for."""

    id_token: str
    access_token: str


class Issuer:
    """One provider."""

    def __init__(self, provider: Provider, fetcher: Fetcher, *, now: Callable[[], float] = monotonic) -> None:
        self._provider = provider
        self._fetcher = fetcher
        url = provider.issuer.rstrip("/") + "/.well-known/openid-configuration"
        self._metadata = Published(
            url, fetch=lambda: fetcher.get(url, content_types=_JSON), read=self._read_metadata, now=now
        )
        self._keys = Published(f"the keys of {provider.issuer}", fetch=self._fetch_keys, read=read_keys, now=now)

    async def metadata(self) -> Metadata:
        """What it says of itself.

        Raises:
            ProviderUnavailable.
        """
        try:
            return await self._metadata.get()
        except FetchFailed as error:
            raise errors.ProviderUnavailable from error

    async def verified(
        self, token: str, *, error: type[errors.CredentialsInvalid | errors.LoginAnswerInvalid]
    ) -> Signed:
        """The token, when the provider has signed it; what it says is still to be looked at.

        Raises:
            `error`: it has not.
            ProviderUnavailable: its keys can't be had, so nobody knows.
        """
        header = read_header(token)
        if header is None or header.crit is not None:
            raise error("This is no signed token.")
        if header.alg not in ALGORITHMS or header.kid is None:
            raise error(f"This token is not signed by one of {', '.join(ALGORITHMS)}, or does not name its key.")
        key, fitting = await self._key(header.kid, error)
        if header.alg not in fitting:
            raise error("The key of this token is for another algorithm.")
        try:
            with warnings.catch_warnings():
                # RFC 9864 has another name for EdDSA; whoever signs with the old one can't be blamed.
                warnings.simplefilter("ignore")
                payload = jws.deserialize_compact(token, key, algorithms=[header.alg]).payload
            claims = msgspec.json.decode(payload, type=dict[str, Any])
        except (jose_errors.JoseError, ValueError, msgspec.DecodeError):
            raise error("The signature of this token is wrong.") from None
        return Signed(header, claims)

    async def exchange(self, *, code: str, redirect_uri: str, verifier: str) -> Tokens:
        """The tokens for a code.

        Raises:
            LoginAnswerInvalid: the provider does not take the code.
            ProviderUnavailable.
        """
        metadata = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        status, answer = await self._post(metadata.token_endpoint, metadata, form)
        if status != _OK:
            raise errors.LoginAnswerInvalid("The provider does not take the code of this login; begin again.")
        try:
            return msgspec.json.decode(answer, type=Tokens)
        except msgspec.DecodeError:
            raise errors.LoginAnswerInvalid from None

    async def introspected(self, token: str) -> dict[str, Any]:
        """What the provider says of a token (RFC 7662), its issuer filled in.

        Raises:
            ProviderTokenInvalid: it is none of its, or not good any more.
            ProviderUnavailable.
        """
        metadata = await self.metadata()
        form = {"token": token, "token_type_hint": "access_token"}
        status, answer = await self._post(metadata.introspection_endpoint, metadata, form)
        try:
            claims = msgspec.json.decode(answer, type=dict[str, Any]) if status == _OK else None
        except msgspec.DecodeError:
            claims = None
        if claims is None:
            raise errors.ProviderUnavailable
        if claims.get("active") is not True:
            raise errors.ProviderTokenInvalid("The provider does not know this token, or any more.")
        return {"iss": self._provider.issuer, **claims}

    async def _key(self, kid: str, error: type[Exception]) -> Key:
        try:
            keys = await self._keys.get()
            if kid not in keys:
                # It may have a new one. Strangers can make us ask now and then, and no more.
                keys = await self._keys.renewed()
        except FetchFailed as failure:
            raise errors.ProviderUnavailable from failure
        if kid not in keys:
            raise error("The provider has no such key.")
        return keys[kid]

    async def _fetch_keys(self) -> Any:
        metadata = await self._metadata.get()
        return await self._fetcher.get(metadata.jwks_uri, content_types=_JWKS)

    async def _post(self, url: str | None, metadata: Metadata, form: Mapping[str, str]) -> tuple[int, bytes]:
        client, secret = self._provider.client_id, self._provider.client_secret
        headers: Mapping[str, str] = {}
        if secret is None:
            form = {**form, "client_id": client}
        elif "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            # Both are encoded before they are put together (RFC 6749, 2.3.1).
            login = b64encode(f"{quote_plus(client)}:{quote_plus(secret)}".encode()).decode()
            headers = {"authorization": f"Basic {login}"}
        else:
            form = {**form, "client_id": client, "client_secret": secret}
        try:
            if url is None:
                raise FetchFailed("The provider does not say where.")
            answer = await self._fetcher.post_form(url, form, headers=headers, content_types=_JSON)
        except (FetchFailed, AddressRefused) as error:
            raise errors.ProviderUnavailable from error
        return answer.status, answer.body

    def _read_metadata(self, body: bytes) -> Metadata:
        try:
            metadata = msgspec.json.decode(body, type=Metadata)
        except msgspec.DecodeError as error:
            raise FetchFailed(f"What {self._provider.issuer} says of itself can't be understood: {error}.") from error
        if metadata.issuer != self._provider.issuer:
            raise FetchFailed(f"{self._provider.issuer} calls itself {metadata.issuer[:200]}; the two must be equal.")
        return metadata


def read_keys(body: bytes) -> Mapping[str, Key]:
    """The keys for signatures in a JWK set, by their ids; others are passed over.

    Raises:
        FetchFailed: it is no JWK set.
    """
    try:
        found = msgspec.json.decode(body, type=_KeySet).keys[:_KEYS_MAX]
    except msgspec.DecodeError as error:
        raise FetchFailed("A key set can't be understood.") from error
    keys = {str(raw.get("kid")): _read_key(raw) for raw in found if isinstance(raw.get("kid"), str)}
    return {kid: key for kid, key in keys.items() if key is not None}


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


def _read_key(raw: Mapping[str, Any]) -> Key | None:
    fitting = _FITTING.get((str(raw.get("kty")), str(raw.get("crv", ""))))
    if fitting is None or raw.get("use", "sig") != "sig" or "verify" not in raw.get("key_ops", ["verify"]):
        return None
    if "alg" in raw:
        fitting &= {str(raw["alg"])}
    # The private half, were it there, is not for us.
    public = {name: raw[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in raw}
    try:
        key = jwk.import_key(public)
    except (jose_errors.JoseError, ValueError, TypeError):
        return None
    if isinstance(key, jwk.RSAKey) and key.raw_value.key_size < _RSA_BITS_MIN:
        return None
    assert isinstance(key, jwk.RSAKey | jwk.ECKey | jwk.OKPKey), "no other kinds are fitting"
    return key, fitting
