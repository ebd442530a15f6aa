"""Everything that people do with secrets, right and wrong, with every secret of it planted."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp

from billfold.platform.mail.sink import letters
from billfold.platform.mail.sink.box import FOLDER, Box
from billfold.platform.web.cookies import csrf_token
from tests.acceptance.secrets.caller import REFUSED, Caller
from tests.canary import Planted
from tests.integration.fetching import hostile
from tests.integration.oidc.issuing import Issuing

EMAIL, OTHER_EMAIL, PHONE = "canary@example.com", "other@example.com", "+66812345678"
MAIL_TIMEOUT_S = 60.0
_TOTP_STEP_S = 30


@dataclass
class Story:
    """One person, from registration to the end of the account."""

    planted: Planted
    caller: Caller
    box: Box
    password: str
    totp_secret: str = ""
    recovery_codes: list[str] = field(default_factory=list)
    _totp_step: int = 0
    _browsers: list[Caller] = field(default_factory=list)

    @classmethod
    def of(cls, environment: Mapping[str, str], planted: Planted) -> Story:
        box = Box(Path(environment["BILLFOLD_DATA"]) / FOLDER)
        return cls(planted, Caller(environment["BILLFOLD_URL"]), box, cls._password(planted))

    @staticmethod
    def _password(planted: Planted) -> str:
        password = f'{secrets.token_urlsafe(9)} "horse" & {secrets.token_urlsafe(9)}'
        planted.plant("password", password)
        return password

    def browser(self) -> Caller:
        """Another client, without tokens, whose answers are remembered with the others'."""
        self._browsers.append(Caller(self.caller.url, self.caller.answers))
        return self._browsers[-1]

    async def aclose(self) -> None:
        for caller in (self.caller, *self._browsers):
            await caller.client.aclose()

    async def registers(self) -> None:
        body = {"email": EMAIL, "password": self.password, "display_name": "Canary"}
        registration = (await self.caller("POST", "/auth/register", body)).json()["id"]
        code = await self.mailed("registration code", EMAIL)
        await self.caller("POST", "/auth/verify", {"id": registration, "code": _another(code)}, status=422)
        self.keeps((await self.caller("POST", "/auth/verify", {"id": registration, "code": code})).json())
        # Again, and for an address that is taken.
        await self.caller("POST", "/auth/verify", {"id": registration, "code": code}, status=422)
        await self.caller("POST", "/auth/register", body)

    async def logs_in(self) -> None:
        wrong = self._password(self.planted)
        await self.caller("POST", "/auth/login", {"login": EMAIL, "password": wrong}, status=401)
        await self.caller("POST", "/auth/login", {"login": "nobody@example.com", "password": wrong}, status=401)
        self.keeps((await self.caller("POST", "/auth/login", {"login": EMAIL, "password": self.password})).json())

    async def uses_a_browser(self) -> None:
        """Tokens in cookies, requests with and without the token against forgery."""
        browser = self.browser()
        login = {"login": EMAIL, "password": self.password, "cookies": True}
        answer = await browser("POST", "/auth/login", login)
        self.planted.plant("csrf token", answer.json()["csrf_token"])
        for name, value in browser.client.cookies.items():
            self.planted.plant(f"cookie {name}", value)
        access = browser.client.cookies["billfold"]
        change = {"display_name": "Canary"}
        await browser("PATCH", "/users/me", change, status=403)
        await browser(
            "PATCH", "/users/me", change, headers={"X-CSRF-Token": csrf_token(access.encode()) + "x"}, status=403
        )
        await browser("PATCH", "/users/me", change, headers={"X-CSRF-Token": csrf_token(access.encode())})

    async def refreshes(self) -> None:
        """Twice with one token, by which the login is over, and in."""
        answer = await self.caller("POST", "/auth/login", {"login": EMAIL, "password": self.password})
        once = answer.json()["refresh_token"]
        self.keeps(answer.json())
        self.keeps((await self.caller("POST", "/auth/refresh", {"refresh_token": once})).json())
        await self.caller("POST", "/auth/refresh", {"refresh_token": once}, status=401)
        await self.caller("GET", "/users/me", status=401)
        await self.logs_in()

    async def adds_a_second_factor(self) -> None:
        wrong = self._password(self.planted)
        await self.caller("POST", "/users/me/factors/totp", {"password": wrong}, status=403)
        made = (await self.caller("POST", "/users/me/factors/totp", {"password": self.password})).json()
        self.totp_secret = made["secret"]
        self.planted.plant("TOTP secret", made["secret"])
        self.planted.plant("TOTP secret in bytes", pyotp.TOTP(made["secret"]).byte_secret())
        await self.caller("POST", "/users/me/factors/totp/confirm", {"code": "000000"}, status=403)
        added = await self.caller("POST", "/users/me/factors/totp/confirm", {"code": await self.totp()})
        self.recovery_codes = added.json()["recovery_codes"]
        for code in self.recovery_codes:
            self.planted.plant("recovery code", code)

    async def logs_in_with_both(self) -> None:
        pending = (await self.caller("POST", "/auth/login", {"login": EMAIL, "password": self.password})).json()
        token = pending["second_factor"]["token"]
        self.planted.plant("token of half a login", token)
        await self.caller("POST", "/auth/mfa", {"token": token, "totp": "000000"}, status=403)
        await self.caller("POST", "/auth/mfa", {"token": token + "x", "totp": "000000"}, status=401)
        first = self.recovery_codes.pop()
        self.keeps((await self.caller("POST", "/auth/mfa", {"token": token, "recovery_code": first})).json())
        await self.caller("POST", "/auth/mfa", {"token": token, "recovery_code": first}, status=401)

    async def makes_a_key(self) -> None:
        """Which wants the fresh factor."""
        wanted = {"name": "Canary", "scopes": ["wallets:read"]}
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        refused = await self.caller("POST", "/api-keys", wanted, headers=headers, status=403)
        approval = refused.json()["step_up"]["id"]
        await self.caller("POST", f"/auth/step-up/{approval}", {"totp": "000000"}, status=403)
        await self.caller("POST", f"/auth/step-up/{approval}", {"totp": await self.totp()})
        key = (await self.caller("POST", "/api-keys", wanted, headers=headers | {"Step-Up": approval})).json()["key"]
        self.planted.plant("API key", key)
        self.planted.plant("API key's secret", key.rpartition("_")[2])
        for text in (key, f"{key}x", key[:-1]):
            status = 200 if text == key else 401
            await self.caller("GET", "/wallets", headers={"Authorization": f"Bearer {text}"}, status=status)

    async def forgets_the_password(self) -> None:
        await self.caller("POST", "/auth/password/forgot", {"login": EMAIL})
        token = await self.mailed("reset token", EMAIL)
        weak = {"token": token, "password": "password1234"}
        await self.caller("POST", "/auth/password/reset", weak, status=422)
        self.password = self._password(self.planted)
        body = {"token": token, "password": self.password}
        await self.caller("POST", "/auth/password/reset", body)
        await self.caller("POST", "/auth/password/reset", body, status=422)
        await self.logs_in_with_both()

    async def changes_the_password(self) -> None:
        new, wrong = self._password(self.planted), self._password(self.planted)
        change = {"current_password": wrong, "new_password": new}
        await self.caller("POST", "/auth/password/change", change, status=403)
        await self.caller("POST", "/auth/password/change", change | {"current_password": self.password})
        self.password = new

    async def changes_addresses(self) -> None:
        for kind, address in (("email", OTHER_EMAIL), ("phone", PHONE)):
            body = {kind: address, "password": self.password}
            refused = await self.caller("POST", f"/users/me/{kind}", body, status=403)
            approval = refused.json()["step_up"]["id"]
            await self.caller("POST", f"/auth/step-up/{approval}", {"totp": await self.totp()})
            asked = await self.caller("POST", f"/users/me/{kind}", body, headers={"Step-Up": approval})
            change = asked.json()["id"]
            code = await self.mailed(f"code to a new {kind}", address)
            await self.caller("POST", f"/users/me/{kind}/verify", {"id": change, "code": _another(code)}, status=422)
            await self.caller("POST", f"/users/me/{kind}/verify", {"id": change, "code": code})

    async def takes_an_alias(self) -> None:
        await self.caller("POST", "/aliases", {"alias": "third@example.com"})
        code = await self.mailed("code of an alias", "third@example.com")
        path = "/aliases/third%40example.com/verify"
        await self.caller("POST", path, {"code": _another(code)}, status=422)
        await self.caller("POST", path, {"code": code})

    async def logs_in_elsewhere(self, issuer: Issuing) -> None:
        """At a provider, whose tokens and whose secret of ours are planted too."""
        browser = self.browser()
        start = await browser("GET", "/auth/oidc/test/start")
        asked = {name: found[0] for name, found in parse_qs(urlsplit(start.headers["location"]).query).items()}
        claims: dict[str, Any] = {"aud": "web", "typ": "ID", "sub": "canary", "name": "Canary"}
        tokens = {
            "id_token": issuer.token(**claims, nonce=asked["nonce"]),
            "access_token": secrets.token_urlsafe(24),
            "refresh_token": secrets.token_urlsafe(24),
            "token_type": "Bearer",
        }
        code = secrets.token_urlsafe(24)
        self.planted.plant("authorization code", code)
        for name in ("id_token", "access_token", "refresh_token"):
            self.planted.plant(f"provider's {name}", tokens[name])
        callback, state = "/auth/oidc/test/callback", {"state": asked["state"], "code": code}
        issuer.server.answers["/token"] = hostile.answer(b'{"error": "invalid_grant"}', status="400 Bad Request")
        await browser("GET", callback, params=state, status=REFUSED)
        start = await browser("GET", "/auth/oidc/test/start")
        asked = {name: found[0] for name, found in parse_qs(urlsplit(start.headers["location"]).query).items()}
        tokens["id_token"] = issuer.token(**claims, nonce=asked["nonce"])
        self.planted.plant("provider's id_token", tokens["id_token"])
        issuer.server.answers["/token"] = hostile.answer(json.dumps(tokens).encode())
        await browser("GET", callback, params={"state": asked["state"], "code": code})
        for name, value in browser.client.cookies.items():
            self.planted.plant(f"cookie {name}", value)
        foreign = issuer.token(sub="canary", nonce="x")
        self.planted.plant("provider's access token as a bearer's", foreign)
        await browser("GET", "/wallets", headers={"Authorization": f"Bearer {foreign}"})
        await browser("GET", "/wallets", headers={"Authorization": f"Bearer {foreign}x"}, status=REFUSED)

    async def puts_secrets_in_wrong_places(self) -> None:
        """As people do whose programs are not finished yet."""
        login, password = {"login": EMAIL, "password": self.password}, self.password
        token, key = self.caller.token, self.planted.secrets["API key"].decode()
        assert token is not None
        for body in (
            login | {"password": [password]},
            login | {"password": {"is": password}},
            {"login": [password], "password": password},
            {"login": password, "password": 1},
            login | {"cookies": password},
        ):
            await self.caller("POST", "/auth/login", body, status=REFUSED)
        for text in (
            f'{{"password": "{key}',
            f'"{key}"',
            f"password={key}",
            f'{{"login": "x", "password": "{key}" 1}}',
        ):
            kind = {"Content-Type": "application/json"}
            await self.caller("POST", "/auth/login", content=text.encode(), headers=kind, status=REFUSED)
        await self.caller("POST", "/auth/register", login | {"display_name": {"x": password}}, status=REFUSED)
        await self.caller("POST", "/auth/verify", {"id": token, "code": key}, status=REFUSED)
        for authorization in (
            f"Basic {b64encode(f'{EMAIL}:{password}'.encode()).decode()}",
            f"Bearer {token}x",
            f"Bearer {token}, Bearer {token}",
            f"bearer  {key} {token}",
            token,
        ):
            await self.caller("GET", "/users/me", headers={"Authorization": authorization}, status=REFUSED)
        await self.caller(
            "GET", "/users/me", headers={"Cookie": f"billfold={token}x", "Authorization": ""}, status=REFUSED
        )

    async def leaves(self) -> None:
        await self.caller("GET", "/sessions")
        await self.caller("POST", "/auth/logout", {})
        await self.caller("GET", "/users/me", status=401)
        self.caller.token = None
        login = {"login": OTHER_EMAIL, "password": self.password}
        token = (await self.caller("POST", "/auth/login", login)).json()["second_factor"]["token"]
        self.planted.plant("token of half a login", token)
        self.keeps((await self.caller("POST", "/auth/mfa", {"token": token, "totp": await self.totp()})).json())
        await self.caller("POST", "/users/me/close", {"password": self._password(self.planted)}, status=403)
        await self.caller("POST", "/users/me/close", {"password": self.password})

    def keeps(self, tokens: Mapping[str, Any]) -> None:
        """The tokens of a login."""
        self.planted.plant("access token", tokens["access_token"])
        self.planted.plant("access token's signature", tokens["access_token"].rpartition(".")[2])
        self.planted.plant("refresh token", tokens["refresh_token"])
        self.caller.token = tokens["access_token"]

    async def mailed(self, name: str, to: str) -> str:
        """The code in the next mail that tells one, planted."""
        deadline = time.monotonic() + MAIL_TIMEOUT_S
        while True:
            for one in letters.newest(self.box, to=to):
                code = letters.read(self.box, one.id).code
                if code is not None and code.encode() not in self.planted.secrets.values():
                    self.planted.plant(name, code)
                    return code
            assert time.monotonic() < deadline, f"no {name} came"
            await asyncio.sleep(0.05)

    async def totp(self) -> str:
        """A code that was not used before: of this step, or of the next one, which is taken as well."""
        step = max(self._totp_step + 1, int(time.time()) // _TOTP_STEP_S)
        await asyncio.sleep(max(0.0, (step - 1) * _TOTP_STEP_S - time.time()))
        self._totp_step = step
        return pyotp.TOTP(self.totp_secret).at(step * _TOTP_STEP_S)


def _another(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"
