"""The tokens of a login. A refresh token is good once, so whoever uses it holds the login's lock meanwhile."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from billfold.app.client import Api, ApiRefusal
from billfold.app.logins.store import Login, Store
from billfold.kernel import errors

#: An access token that ends sooner is renewed before it is used: requests take time, and clocks differ.
MARGIN_S = 30.0
_UNAUTHORIZED = 401


class LoginEnded(errors.BillfoldError):
    """Your login has ended; log in again with `billfold login`."""

    code = "login_ended"


class Session:
    """A login that gives a good access token whenever it is asked for one."""

    def __init__(self, login: Login, store: Store, *, certificate: Path | None = None) -> None:
        self.login = login
        self._store = store
        self._certificate = certificate
        self._alone = asyncio.Lock()

    async def token(self) -> str:
        """An access token that is good for a while.

        Raises: LoginEnded, StoreBusy, and what a request raises.
        """
        if self.login.expires_at - time.time() > MARGIN_S:
            return self.login.access_token
        return await self.renewed(self.login.access_token)

    async def renewed(self, worn: str) -> str:
        """Another access token than this one, which does not do any more.

        Raises: as `token`.
        """
        async with self._alone, self._store.locked():
            kept = self._store.read()
            if kept is None or kept.user_id != self.login.user_id:
                raise LoginEnded
            if kept.access_token == worn:
                kept = await self._refreshed(kept)
            self.login = kept
        return self.login.access_token

    async def _refreshed(self, login: Login) -> Login:
        try:
            async with Api(url=login.url, key=None, certificate=self._certificate) as api:
                answer = await api.post("/auth/refresh", {"refresh_token": login.refresh_token})
        except ApiRefusal as refusal:
            if refusal.status != _UNAUTHORIZED:
                raise
            self._store.remove()
            raise LoginEnded from refusal
        found = Login.of(login.url, answer.body)
        self._store.write(found)
        return found
