"""Where logins are kept: one for each address of an API.

The tokens go into the keyring of the system where there is one, else into a file that only its owner may read. The
file is there in both cases and says which it is, so that a machine without logins never loads a keyring.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec

from billfold.kernel import errors
from billfold.platform import children, host

#: What the keyring lists our entries under.
SERVICE = "billfold"
#: As keyring counts: from here on a backend is the system's own; what is below keeps nothing, or nothing safely.
_REAL = 1
#: Longer than the API takes to answer at all, which is what another process may be waiting for.
_LOCK_TIMEOUT_S = 75.0
_POLL_S = 0.02

Place = Literal["keyring", "file"]


class StoreBusy(errors.Unavailable):
    """Another command is renewing this login and does not come to its end."""

    code = "login_busy"


class KeyringClosed(errors.Unavailable):
    """The tokens of this login are in the system's keyring, which can't be opened."""

    code = "keyring_closed"


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody's session at an API, with its tokens. Times are seconds since 1970 by the clock of this machine."""

    url: str
    user_id: str
    session_id: str
    access_token: str
    refresh_token: str
    expires_at: float
    ends_at: float

    def __repr__(self) -> str:
        return f"Login(url={self.url!r}, user_id={self.user_id!r}, session_id={self.session_id!r})"

    @classmethod
    def of(cls, url: str, answer: dict[str, Any]) -> Login:
        """What the API has answered to a login or a refresh."""
        now = time.time()
        return cls(
            url=url,
            user_id=answer["user_id"],
            session_id=answer["session_id"],
            access_token=answer["access_token"],
            refresh_token=answer["refresh_token"],
            expires_at=now + answer["expires_in"],
            ends_at=now + answer["refresh_expires_in"],
        )


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """The file of an address; the login itself only where there is no keyring."""

    url: str
    kept_in: Place
    login: Login | None = None


class Store:
    """The login of one address, for all processes of this user."""

    def __init__(self, url: str) -> None:
        self.url = url
        usual = Path.home() / ".local" / "state"
        state = Path(os.environ.get("XDG_STATE_HOME") or usual)
        self._folder = state / "billfold" / "logins"
        # A folder of its own is somebody else's login, which the keyring of the system has to tell apart, too.
        self._entry = url if state == usual else f"{url} ({state})"
        self._name = sha256(url.encode()).hexdigest()[:32]
        self._path = self._folder / f"{self._name}.json"

    def read(self) -> Login | None:
        """The login, if there is one.

        Raises: KeyringClosed.
        """
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=_File)
        except (OSError, msgspec.DecodeError):
            return None  # What nobody can read is no login.
        return found.login if found.kept_in == "file" else self._from_keyring()

    def write(self, login: Login) -> Place:
        """Keep it, instead of the one that was there, and say where."""
        place: Place = "keyring" if self._to_keyring(login) else "file"
        file = _File(url=self.url, kept_in=place, login=login if place == "file" else None)
        host.private_folder(self._folder)
        host.write_private(self._path, msgspec.json.encode(file).decode())
        return place

    def remove(self) -> None:
        """Keep none any more."""
        if self._path.exists():
            self._forget_in_keyring()
            self._path.unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Be the only process that renews or replaces the login.

        Raises: StoreBusy.
        """
        host.private_folder(self._folder)
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        while (lock := children.try_lock(self._folder / f"{self._name}.lock")) is None:
            if time.monotonic() > deadline:
                raise StoreBusy
            await asyncio.sleep(_POLL_S)
        try:
            yield
        finally:
            os.close(lock)

    def _from_keyring(self) -> Login | None:
        from keyring.errors import KeyringError  # noqa: PLC0415 - loaded where somebody has used it.

        backend = _backend()
        try:
            text = None if backend is None else backend.get_password(SERVICE, self._entry)
        except KeyringError as error:
            raise KeyringClosed(f"The tokens of this login are in the system's keyring: {error}.") from error
        try:
            return None if text is None else msgspec.json.decode(text, type=Login)
        except msgspec.DecodeError:
            return None

    def _to_keyring(self, login: Login) -> bool:
        from keyring.errors import KeyringError  # noqa: PLC0415

        backend = _backend()
        if backend is None:
            return False
        try:
            backend.set_password(SERVICE, self._entry, msgspec.json.encode(login).decode())
        except KeyringError:
            return False
        return True

    def _forget_in_keyring(self) -> None:
        from keyring.errors import KeyringError  # noqa: PLC0415

        backend = _backend()
        if backend is not None:
            with contextlib.suppress(KeyringError):
                backend.delete_password(SERVICE, self._entry)


def _backend() -> Any:
    """The keyring of the system, or None where there is none that is worth the name."""
    import keyring  # noqa: PLC0415

    backend = keyring.get_keyring()
    return backend if backend.priority >= _REAL else None
