"""The file of OpenID Connect providers (`oidc.file`), read when a process starts: what is wrong in it is said then.

    [[provider]]
    name = "keycloak"
    title = "Example Ltd"
    issuer = "https://id.example.com/realms/billfold"
    client_id = "billfold"
    client_secret_file = "/run/secrets/keycloak"
    login = true
    second_factor_acr = ["2"]
    accept_tokens = true
    audience = "billfold"
    services = ["billfold-service"]
    roles_claim = "realm_access.roles"

    [provider.roles]
    auditor = "auditor"

The how-to about Keycloak explains each field.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from billfold.app import settings
from billfold.app.settings.sources import secret_in
from billfold.identity import OtherProviders
from billfold.identity.contracts import Provider, Role
from billfold.kernel import forms

_NAME = forms.pattern(r"^[a-z][a-z0-9-]{0,31}$", "small letters, digits and dashes, a letter first, 32 at most")
_TEXT = forms.pattern(r"^[^\u0000-\u001f\u007f]{1,200}$", "text of 1 to 200 characters in one line")
_WORD = forms.pattern(r"^[\u0021-\u007e]{1,500}$", "ASCII text without spaces")

Name = Annotated[str, Meta(pattern=_NAME)]
Text = Annotated[str, Meta(pattern=_TEXT)]
Word = Annotated[str, Meta(pattern=_WORD)]


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider as it stands in the file."""

    name: Name
    title: Text
    issuer: Word
    client_id: Word
    client_secret: Word | None = None
    client_secret_file: Annotated[str, Meta(min_length=1)] | None = None
    scopes: tuple[Word, ...] = ("openid", "profile", "email")
    audience: Word | None = None
    roles_claim: Word | None = None
    roles: dict[str, Role] = {}
    services: list[Word] = []
    login: bool = False
    second_factor_acr: list[Word] = []
    accept_tokens: bool = False
    introspect: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    provider: list[_Entry] = []


def providers(oidc: settings.Oidc, *, public_url: str) -> OtherProviders:
    """What the file says, and how its providers may be called.

    Raises:
        SettingInvalid: it can't be read, or is wrong somewhere.
    """
    configured = [] if oidc.file is None else _read(oidc.file, oidc, public_url)
    if not configured:
        return OtherProviders(configured=configured, fetcher=None, public_url=public_url)
    # The HTTP client takes long to load, and most have no other provider.
    from billfold.platform.fetching import Fetcher  # noqa: PLC0415

    fetcher = Fetcher(private=oidc.allow_private, loopback=oidc.allow_loopback)
    return OtherProviders(configured=configured, fetcher=fetcher, public_url=public_url)


def _read(file: Path, oidc: settings.Oidc, public_url: str) -> list[Provider]:
    try:
        entries = msgspec.convert(tomllib.loads(file.read_text(encoding="utf-8")), _File).provider
    except OSError as error:
        raise settings.SettingInvalid(f"oidc.file {file} can't be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise settings.SettingInvalid(f"oidc.file {file} is not valid TOML: {error}.") from error
    except msgspec.ValidationError as error:
        raise settings.SettingInvalid(f"oidc.file {file} is wrong: {forms.said(error)}") from error
    faults = [fault for entry in entries for fault in _faults_of(entry, oidc, public_url)]
    for fault in (*_faults_together(entries), *faults):
        raise settings.SettingInvalid(f"oidc.file {file} is wrong: {fault}")
    return [_provider(entry, file) for entry in entries]


def _faults_together(entries: list[_Entry]) -> Iterator[str]:
    for field in ("name", "issuer"):
        counted = Counter(getattr(entry, field) for entry in entries)
        yield from (f"two providers have the {field} {value}." for value, count in counted.items() if count > 1)
    if sum(entry.introspect for entry in entries) > 1:
        yield "introspect is for one provider: nobody can tell whom to ask about a token that can't be read."


def _faults_of(entry: _Entry, oidc: settings.Oidc, public_url: str) -> Iterator[str]:
    """What is wrong with an entry, in words."""
    yield from _faults_of_issuer(entry, oidc, public_url)
    yield from _faults_of_login(entry)
    yield from _faults(entry)


def _faults_of_issuer(entry: _Entry, oidc: settings.Oidc, public_url: str) -> Iterator[str]:
    url = urlsplit(entry.issuer)
    plain = url.scheme == "http" and oidc.allow_loopback
    if (url.scheme != "https" and not plain) or not url.hostname or url.query or url.fragment or url.username:
        yield f"provider {entry.name}: issuer must be an https address with no query or login in it."
    if entry.issuer == public_url:
        yield f"provider {entry.name}: issuer is our own address, and tokens of ours are nobody else's."


def _faults_of_login(entry: _Entry) -> Iterator[str]:
    who = f"provider {entry.name}"
    if entry.login and "openid" not in entry.scopes:
        yield f"{who}: scopes must have openid, or nobody is told who has logged in."
    if entry.second_factor_acr and not entry.login:
        yield f"{who}: second_factor_acr means nothing without login."
    if "0" in entry.second_factor_acr:
        yield f"{who}: an acr of 0 says that nothing was checked, so it can't be in second_factor_acr."


def _faults(entry: _Entry) -> Iterator[str]:
    who = f"provider {entry.name}"
    if entry.client_secret is not None and entry.client_secret_file is not None:
        yield f"{who}: give client_secret or client_secret_file, not both."
    if not (entry.login or entry.accept_tokens):
        yield f"{who}: neither login nor accept_tokens is true, so it is good for nothing."
    if entry.accept_tokens and entry.audience is None:
        yield f"{who}: accept_tokens needs audience: tokens that are for somebody else must not be taken."
    if not entry.accept_tokens and (entry.audience or entry.roles or entry.services or entry.introspect):
        yield f"{who}: audience, roles, services and introspect mean nothing without accept_tokens."
    if bool(entry.roles) != (entry.roles_claim is not None):
        yield f"{who}: roles and roles_claim go together."
    if "service" in entry.roles.values():
        yield f"{who}: the role service is for programs, which services names."
    if entry.client_id in entry.services:
        yield f"{who}: people log in with the client {entry.client_id}, so it can't be a program's."


def _provider(entry: _Entry, file: Path) -> Provider:
    secret = entry.client_secret
    if entry.client_secret_file is not None:
        # Beside the file, unless it says from where.
        secret = secret_in(file.parent / Path(entry.client_secret_file).expanduser(), f"{file}, {entry.name}")
    return Provider(
        name=entry.name,
        title=entry.title,
        issuer=entry.issuer,
        client_id=entry.client_id,
        client_secret=secret,
        scopes=entry.scopes,
        audience=entry.audience or "",
        roles_claim=tuple(entry.roles_claim.split(".")) if entry.roles_claim else (),
        roles=entry.roles,
        services=frozenset(entry.services),
        login=entry.login,
        second_factor_acr=frozenset(entry.second_factor_acr),
        accept_tokens=entry.accept_tokens,
        introspect=entry.introspect,
    )
