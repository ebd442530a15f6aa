"""OpenID Connect providers: which there are, and who of theirs is who of ours."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billfold.identity.contracts.scopes import Role


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as the operator has set it up."""

    #: Stands in addresses: keycloak.
    name: str
    #: What people are shown.
    title: str
    #: Exactly as it calls itself in its tokens.
    issuer: str
    client_id: str
    #: None of a client that can keep none.
    client_secret: str | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    #: Whom an access token must be for, to be taken here.
    audience: str = ""
    #: Where in a token its roles stand, from the outside in.
    roles_claim: tuple[str, ...] = ()
    #: Their role → ours. What is not in it gives nothing.
    roles: Mapping[str, Role] = {}
    #: Clients whose access tokens are programs' and no person's.
    services: frozenset[str] = frozenset()
    #: Whether people log in there.
    login: bool = False
    #: What `acr` says in an ID token when the provider has checked a second factor.
    second_factor_acr: frozenset[str] = frozenset()
    #: Whether its access tokens are taken.
    accept_tokens: bool = False
    #: Whether it is asked about tokens that can't be read (RFC 7662).
    introspect: bool = False

    def __repr__(self) -> str:
        """Without the secret."""
        return f"Provider({self.name!r}, {self.issuer!r})"


class LoginProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Where else one can log in."""

    name: Annotated[str, Meta(examples=["keycloak"])]
    title: Annotated[str, Meta(description="For people to read.", examples=["Example Ltd"])]
    start_url: Annotated[
        str, Meta(description="Send the browser there.", examples=["/api/v1/auth/oidc/keycloak/start"])
    ]


class ExternalIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """An account elsewhere that one logs in with."""

    id: str
    provider: str
    subject: Annotated[str, Meta(description="What the provider calls the account.")]
    #: Its name there, as it was when it was linked.
    name: str
    created_at: datetime
    last_login_at: datetime | None


class LoginReturn(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider has sent a browser back with."""

    state: str | None = None
    code: str | None = None
    error: str | None = None
    issuer: str | None = None


class LoginStart(msgspec.Struct, frozen=True, kw_only=True):
    """Where to send the browser."""

    url: str
