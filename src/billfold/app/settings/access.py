"""Who people are, how they prove it, what that does not suffice for, and how often who may ask."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from billfold.app.settings.section import Secret, Section

PerMinute = Annotated[int, msgspec.Meta(ge=0, le=100_000_000)]


class Keys(Section, frozen=True, kw_only=True):
    """What seals the secrets that the database keeps."""

    #: The file of master keys that `billfold keys create-master` makes. `billfold up` has one in its data folder. Keep
    #: a copy apart from those of the database: without it what is sealed there is lost.
    file: Path | None = None


class Passwords(Section, frozen=True, kw_only=True):
    """How passwords are hashed, by Argon2id. When this rises, each is hashed anew at its next use."""

    #: Passes over the memory.
    passes: Annotated[int, msgspec.Meta(ge=2, le=100)] = 3
    #: What one hash takes. The least that OWASP lets pass is 19 in 2 passes.
    memory_mib: Annotated[int, msgspec.Meta(ge=19, le=4_096)] = 64
    #: Lanes of one hash, which are not computed at the same time here.
    lanes: Annotated[int, msgspec.Meta(ge=1, le=16)] = 1
    #: How many are hashed at a time by each process, behind everything else that it does; one for each two processors
    #: when not set.
    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    #: How many further ones may wait. Who comes then is told to try again in a moment.
    queue_max: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 64


class People(Section, frozen=True, kw_only=True):
    """Those who register."""

    #: The country of phone numbers that are written without one, such as TH. Without it each number needs its own.
    phone_region: Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")] | None = None


class Tokens(Section, frozen=True, kw_only=True):
    """The access tokens of people who have logged in."""

    #: How long one is good for; then it is refreshed.
    access_seconds: Annotated[int, msgspec.Meta(ge=300, le=600)] = 600
    #: How old the newest key that signs them becomes. `billfold keys rotate-signing` replaces it at any time.
    rotate_days: Annotated[int, msgspec.Meta(ge=1, le=3_650)] = 90


class Webauthn(Section, frozen=True, kw_only=True):
    """Passkeys. A passkey is good for one host name and those below it, for ever."""

    #: That host name; by default the host of api.public_url. Change it before the first passkey is made, or never.
    rp_id: str | None = None
    #: Where the pages are that may use passkeys, such as https://app.example.com, separated by commas; by default
    #: api.public_url.
    origins: str | None = None


class Oidc(Section, frozen=True, kw_only=True):
    """OpenID Connect providers that people log in with, and whose access tokens are taken."""

    #: The TOML file that describes them; see the how-to about Keycloak. Without it there are none.
    file: Path | None = None
    #: Whether providers may have addresses of private networks, as a company's own Keycloak often has.
    allow_private: bool = False
    #: Whether they may be on this machine, and spoken to without TLS: for a sandbox, never for production.
    allow_loopback: bool = False


class Security(Section, frozen=True, kw_only=True):
    """What takes more than credentials."""

    #: What a person withdraws within 24 hours without another one's approval, by asset, such as USD=10000,BTC=0.5; of
    #: other assets it may be any. Programs are not asked.
    approval_above: str | None = None
    #: What a person withdraws within 24 hours without approving it by a second factor of theirs, by asset, such as
    #: USD=1000,BTC=0.05; of other assets it may be any. It is asked of whoever uses a person's API keys, too. Programs
    #: are not asked.
    step_up_above: str | None = None


class Limits(Section, frozen=True, kw_only=True):
    """How often who may call the API; 0 is no limit. Each process counts for itself, unless there is a Redis."""

    #: Requests of an owner with valid keys, all keys together. No limit by default: what is too much for one owner is
    #: some thousands a second on one machine, and yours to say.
    owner_per_minute: PerMinute = 0
    #: Requests of an address without valid credentials: documentation, mistakes, whoever knocks at every door.
    anonymous_per_minute: PerMinute = 1_200
    #: Wrong credentials from an address. Ten times as many are allowed in an hour and fifty times as many in a day, so
    #: whoever goes on waits longer. Valid keys from the same address are served meanwhile.
    wrong_credentials_per_minute: PerMinute = 60
    #: Attempts of an address to log in, to register or to get a new password. Ten times as many are allowed in an hour
    #: and fifty times as many in a day. Who comes from where they have logged in before is not counted.
    logins_per_minute: PerMinute = 60
    #: Questions of an owner for whom an alias stands, and payments to aliases that are not there. Ten times as many are
    #: allowed in an hour and fifty times as many in a day, so that nobody goes through a list of addresses.
    resolve_per_minute: PerMinute = 60
    #: A Redis in which all processes count together: redis://, rediss:// or unix://. While it does not answer, each
    #: process counts for itself.
    redis_url: Secret | None = None
