"""People who come about as people do: they register, read their mail and log in. All services are real."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pyotp
import pytest

from billfold.identity import Identity, errors
from billfold.identity.contracts import ROLE_SCOPES, Left, Registration, SessionTokens
from billfold.identity.service.attempts import Attempts
from billfold.identity.service.passwords import Hashing
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform.limiting.limiter import Shared
from billfold.platform.mail.queue import MailQueue
from billfold.platform.postgres.database import Connection, Database
from tests import facades
from tests.integration.identity.people import HandClock

PASSWORD = "correct horse battery staple"
OTHER_PASSWORD = "staple battery, horse correct"
HOME = "203.0.113.7"
ELSEWHERE = "198.51.100.9"
DEVICE = "a test"
#: As cheap as the settings let it be.
CHEAP = Hashing(passes=2, memory_mib=19, threads=2)


@dataclass(frozen=True)
class Mail:
    """A mail that waits to be sent."""

    template: str
    locale: str
    values: dict[str, str]


class Town:
    """One installation, seen by those who live in it. `leaving` says what they have in their wallets."""

    def __init__(self, database: Database, *, shared: Shared | None = None, sms_domain: str | None = None) -> None:
        self.database = database
        self.clock = HandClock()
        self.envelope = facades.ENVELOPE
        self.left: list[Left] = []
        self.identity = Identity(
            database=database,
            envelope=self.envelope,
            mail=MailQueue(self.envelope, sms_domain=sms_domain),
            clock=self.clock,
            hashing=CHEAP,
            attempts=Attempts(per_minute=0, shared=shared),
            phone_region="TH",
            leaving=self._leaving,
        )
        # Waits are not waited for, but where a test is about their time.
        self.identity.logins._refused_after_s = 0.0

    async def _leaving(self, connection: Connection, user_id: UUID) -> Sequence[Left]:
        assert connection.is_in_transaction()
        assert user_id
        return self.left

    async def register(
        self,
        email: str | None = None,
        *,
        phone: str | None = None,
        password: str = PASSWORD,
        name: str = "Ada Lovelace",
        address: str = HOME,
    ) -> UUID:
        """Ask for an account; the id that the answer has."""
        if email is None and phone is None:
            email = a_new_address()
        new = Registration(email=email, phone=phone, password=password, display_name=name)
        return UUID((await self.identity.registrations.register(new=new, address=address)).id)

    async def verify(self, registration_id: UUID, code: str) -> SessionTokens:
        return await self.identity.registrations.verify(
            registration_id=registration_id, code=code, device=DEVICE, address=HOME
        )

    async def person(self, email: str | None = None, **more: str) -> tuple[str, Principal]:
        """Somebody who has registered: their address, and who they are from now on."""
        email = email or a_new_address()
        tokens = await self.verify(await self.register(email, **more), await self.code(email))
        return email, principal(tokens)

    async def log_in(self, login: str, password: str = PASSWORD, *, address: str = HOME) -> SessionTokens:
        answer = await self.identity.logins.login(login=login, password=password, device=DEVICE, address=address)
        assert isinstance(answer, SessionTokens)
        return answer

    async def app(self, by: Principal) -> pyotp.TOTP:
        """Give somebody an authenticator app, whose next code is another one than its first."""
        new = await self.identity.factors.start_totp(by=by, password=PASSWORD, proof=None)
        app = pyotp.TOTP(new.secret)
        await self.identity.factors.confirm_totp(by=by, code=self.shown(app))
        self.clock.go_on(seconds=30)
        return app

    def shown(self, app: pyotp.TOTP) -> str:
        """What the app shows now."""
        return app.at(self.clock.now())

    async def forgot(self, login: str, *, address: str = HOME) -> None:
        await self.identity.password_changes.forgot(login=login, device=DEVICE, address=address)

    async def reset(self, token: str, password: str = OTHER_PASSWORD) -> None:
        await self.identity.password_changes.reset(token=token, password=password, device=DEVICE, address=HOME)

    async def mails(self, to: str) -> list[Mail]:
        """What waits to be sent there, in its order."""
        async with self.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, template, locale, sealed FROM mail.queue WHERE recipient = $1 ORDER BY id", to
            )
        return [
            Mail(
                row["template"],
                row["locale"],
                json.loads(await self.envelope.open(row["sealed"], context=f"mail/{row['id']}")),
            )
            for row in rows
        ]

    async def code(self, to: str) -> str:
        """The last code that was sent there."""
        return [mail.values["code"] for mail in await self.mails(to) if "code" in mail.values][-1]

    async def token(self, to: str) -> str:
        """The last token for a new password that was sent there."""
        return [mail.values["token"] for mail in await self.mails(to) if "token" in mail.values][-1]

    async def templates(self, to: str) -> list[str]:
        return [mail.template for mail in await self.mails(to)]

    async def told(self, *, user: Principal | None = None, login: str | None = None) -> list[dict[str, Any]]:
        """The events about somebody, or about attempts to be somebody, in their order."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT payload FROM messaging.outbox ORDER BY seq")
        events = [json.loads(row["payload"]) for row in rows]
        if user is not None:
            return [event for event in events if event["data"]["owner_id"] == str(user.owner_id)]
        return [event for event in events if event["data"].get("login") == login]

    async def sessions(self, of: Principal) -> list[str]:
        return [session.id for session in await self.identity.sessions.list(by=of)]


def a_new_address() -> str:
    """One that no other test has."""
    return f"{ids.new().hex}@example.com"


def principal(tokens: SessionTokens) -> Principal:
    user_id = UUID(tokens.user_id)
    return Principal(
        credential_id=UUID(tokens.session_id),
        owner_id=user_id,
        scopes=ROLE_SCOPES["user"],
        user_id=user_id,
        is_session=True,
    )


async def refused(town: Town, login: str, password: str = OTHER_PASSWORD, *, address: str = ELSEWHERE) -> Exception:
    """Why they were not logged in."""
    with pytest.raises((errors.LoginFailed, errors.TooManyAttempts)) as found:
        await town.log_in(login, password, address=address)
    return found.value
