"""Which API a command talks to, in whose name, and what has said so.

The address is that of the command line, of the settings, or of the stack that runs here. The credentials are a key of
the command line, a key of the settings, the login at that address, or the key that the stack has made for itself: the
first of these that there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from billfold.app import settings
from billfold.app.client import Api, base_url
from billfold.app.logins import Session, Store
from billfold.app.supervisor import record


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An API, and in whose name it is spoken to."""

    url: str
    #: What has named the address, and what the credentials are: for people.
    url_from: str
    key: str | None
    session: Session | None
    credentials_from: str
    #: By which the API is known, when it is the stack on this machine.
    certificate: Path | None
    loaded: settings.Loaded

    @property
    def api(self) -> Api:
        """A client in that name."""
        return Api(url=self.url, key=self.key, login=self.session, certificate=self.certificate)

    @property
    def anonymous(self) -> Api:
        """A client in nobody's name."""
        return Api(url=self.url, key=None, certificate=self.certificate)

    @property
    def is_nobodys(self) -> bool:
        """Whether there are no credentials."""
        return self.key is None and self.session is None

    @property
    def store(self) -> Store:
        """Where a login at this address is kept."""
        return Store(self.url)


def find(url: str | None, api_key: str | None, config: Path | None, data: Path | None) -> Place:
    """What these options and the settings lead to.

    A data folder on the command line means the stack there: an address or a key left in the environment or a file is
    another stack's, and money would go where nobody meant it to.

    Raises:
        SettingInvalid, SettingUnknown, UrlInvalid
        NotRunning: nothing names an API.
        KeyringClosed
    """
    given = {"client.url": url, "client.api_key": api_key, "data_dir": None if data is None else str(data)}
    overrides = {name: value for name, value in given.items() if value is not None}
    loaded = settings.load(file=config, overrides=overrides)
    tree = loaded.settings
    if tree.client.url is not None and (data is None or url is not None):
        running = stack_at(tree.client.url, loaded)
        return _place(tree.client.url, loaded.sources["client.url"], loaded, key=tree.client.api_key, running=running)
    try:
        found = record.read(tree.data_dir)
    except record.NotRunning as error:
        raise record.NotRunning(f"{error.detail} Or name another API with --url and --api-key.") from error
    wanted = tree.client.api_key if data is None else api_key
    place = _place(found.api_url, f"the stack in {tree.data_dir}", loaded, key=wanted, running=found)
    if place.key is not None or place.session is not None:
        return place
    return _place(place.url, place.url_from, loaded, key=found.api_key, key_from="the stack's own key", running=found)


def stack_at(url: str, loaded: settings.Loaded) -> record.StackRecord | None:
    """The stack of the data folder, if it runs and this is its address."""
    try:
        found = record.read(loaded.settings.data_dir)
    except record.NotRunning:
        return None
    return found if found.api_url == base_url(url) else None


def _place(
    url: str,
    url_from: str,
    loaded: settings.Loaded,
    *,
    key: str | None,
    key_from: str | None = None,
    running: record.StackRecord | None,
) -> Place:
    address = base_url(url)
    certificate = running.tls_certificate if running is not None else None
    path = None if certificate is None else Path(certificate)
    session = None
    if key is None:
        store = Store(address)
        login = store.read()
        session = None if login is None else Session(login, store, certificate=path)
        source = "no credentials" if session is None else "the login at this address"
    else:
        source = key_from or f"the key from {loaded.sources['client.api_key']}"
    return Place(
        url=address,
        url_from=url_from,
        key=key,
        session=session,
        credentials_from=source,
        certificate=path,
        loaded=loaded,
    )
