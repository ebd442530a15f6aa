"""People with factors, on services put together without HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pyotp

from billfold.identity import contracts, errors
from billfold.identity.contracts import Assertion, NewCredential, Proof, RelyingParty, StepUpChallenge
from billfold.identity.service.confirming import Confirmations
from billfold.identity.service.factors import FactorChanges
from billfold.identity.service.notices import Notices
from billfold.identity.service.proofs import Proofs
from billfold.identity.service.second_factors import SecondFactors
from billfold.identity.service.sessions import Sessions
from billfold.identity.service.step_up import StepUp
from billfold.kernel import ids
from billfold.kernel.principal import Principal
from billfold.platform.postgres.database import Connection, Database
from tests import facades
from tests.authenticators import SecurityKey

PASSWORD = "correct horse battery staple"
PARTY = RelyingParty(id="localhost", origins=("http://localhost:8080",))


@dataclass
class HandClock:
    """Stands still until somebody moves it."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return self.at

    def go_on(self, **by: float) -> None:
        self.at += timedelta(**by)


@dataclass
class Outside:
    """What identity has around it: its mails are kept, and everybody has the same password."""

    mails: list[dict[str, Any]] = field(default_factory=list)

    async def append(
        self, _connection: Connection, *, template: str, to: str, locale: str, values: Mapping[str, str]
    ) -> None:
        self.mails.append({"template": template, "to": to, "locale": locale, **values})

    async def check_password(self, *, user_id: UUID, password: str) -> bool:
        assert user_id
        return password == PASSWORD


class House:
    """The services about factors, and the doors to what is outside."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.clock = HandClock()
        self.outside = Outside()
        notices = Notices(mail=self.outside, clock=self.clock)
        envelope = facades.ENVELOPE
        self.sessions = Sessions(
            database=database,
            clock=self.clock,
            tokens=facades.identity(database, clock=self.clock).tokens,
            notices=notices,
            forget=lambda _session: None,
        )
        self.proofs = Proofs(database=database, clock=self.clock, envelope=envelope, party=PARTY)
        self.step_up = StepUp(database=database, clock=self.clock, proofs=self.proofs)
        self.factors = FactorChanges(
            database=database,
            clock=self.clock,
            envelope=envelope,
            party=PARTY,
            proofs=self.proofs,
            step_up=self.step_up,
            confirmations=Confirmations(
                database=database,
                clock=self.clock,
                proofs=self.proofs,
                step_up=self.step_up,
                passwords=self.outside,
            ),
            notices=notices,
        )
        self.logins = SecondFactors(
            database=database, clock=self.clock, party=PARTY, proofs=self.proofs, sessions=self.sessions
        )

    async def person(self, *, password: bool = True) -> Principal:
        """Somebody who has just logged in."""
        user_id, now = ids.new(), self.clock.now()
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO identity.owners (id, name, created_at) VALUES ($1, $2, $3)", user_id, str(user_id), now
            )
            await connection.execute(
                "INSERT INTO identity.users (id, email, email_verified_at, password_hash, display_name, locale, "
                "time_zone, created_at) VALUES ($1, $2, $3, $4, 'Ada', 'en', 'UTC', $3)",
                user_id,
                f"{user_id}@example.com",
                now,
                "a hash" if password else None,
            )
            tokens = await self.sessions.start(
                connection,
                user_id=user_id,
                methods=["pwd"],
                device="a test",
                address="203.0.113.7",
                new_account=True,
            )
        scopes = contracts.ROLE_SCOPES["user"]
        return Principal(
            credential_id=UUID(tokens.session_id), owner_id=user_id, scopes=scopes, user_id=user_id, is_session=True
        )

    async def app(self, by: Principal) -> pyotp.TOTP:
        """Give somebody an authenticator app."""
        new = await self.factors.start_totp(by=by, password=PASSWORD, proof=None)
        app = pyotp.TOTP(new.secret)
        await self.factors.confirm_totp(by=by, code=self.code(app))
        self.clock.go_on(seconds=30)  # Its next code is another one.
        return app

    async def passkey(self, by: Principal, key: SecurityKey | None = None, *, proof: UUID | None = None) -> SecurityKey:
        """Give somebody a passkey."""
        key = key or SecurityKey()
        new = await self.factors.start_passkey(by=by, password=PASSWORD, proof=proof)
        credential = msgspec.convert(key.create(new.options), NewCredential)
        await self.factors.finish_passkey(
            by=by, challenge_id=UUID(new.challenge_id), name="A key", credential=credential
        )
        return key

    def code(self, app: pyotp.TOTP, *, steps: int = 0) -> str:
        """What the app shows now, or so many steps later."""
        return app.at(self.clock.now(), counter_offset=steps)

    async def waiting(self, by: Principal, content: Mapping[str, str], operation: str = "withdrawal") -> UUID:
        """An operation that waits for somebody's factor now: its id."""
        try:
            await self.step_up.demand(principal=by, operation=operation, content=content, key=None, proof=None)
        except errors.StepUpRequired as required:
            return UUID(required.extensions["step_up"]["id"])
        raise AssertionError("nobody demanded anything")

    async def approve(self, by: Principal, step_up_id: UUID, app: pyotp.TOTP) -> StepUpChallenge:
        """Approve it with the app's code."""
        shown = await self.step_up.approve(by=by, step_up_id=step_up_id, proof=Proof(totp=self.code(app)))
        self.clock.go_on(seconds=30)
        return shown

    async def told(self, by: Principal) -> list[dict[str, Any]]:
        """The events about somebody, in their order."""
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT payload FROM messaging.outbox ORDER BY seq")
        events = [json.loads(row["payload"]) for row in rows]
        return [event for event in events if event["data"]["owner_id"] == str(by.owner_id)]


def assertion(given: Mapping[str, Any]) -> Assertion:
    """What a browser sends, as it is taken."""
    return msgspec.convert(given, Assertion)
