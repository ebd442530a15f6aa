"""People with roles and things of theirs, made beside a running API in its database, as many as a walk needs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from billfold.audit import Audit
from billfold.identity import Identity
from billfold.identity.contracts import KEY_SCOPES, ROLE_SCOPES, Claims, Demand, Grant, Role
from billfold.identity.domain import tokens
from billfold.kernel import clock, idempotency, ids
from billfold.kernel.clock import SystemClock
from billfold.kernel.deferred import Deferred
from billfold.kernel.facts import Fact
from billfold.kernel.money import Money
from billfold.kernel.origin import Origin
from billfold.kernel.principal import Principal
from billfold.ledger import Ledger
from billfold.platform.keys import Envelope, local
from billfold.platform.postgres.database import Database
from billfold.wallets import Wallets
from billfold.wallets.contracts import NewHold, NewWallet, Order
from tests import facades, master_keys, servers

_HOLDING = Money("1000.00", "USD")
_SOME = Money("20.00", "USD")


class Login(NamedTuple):
    """Somebody, and the credentials that they call with."""

    user_id: UUID
    role: Role
    scopes: frozenset[str]
    token: str
    session_id: UUID | None = None


class World:
    """Makes people and things. What belongs to whom is remembered, to be looked for in answers to others."""

    def __init__(
        self, database: Database, identity: Identity, ledger: Ledger, *, issuer: str, audit: Audit | None = None
    ) -> None:
        self._database = database
        self._audit = audit
        self._issuer = issuer
        self.identity = identity
        self._wallets = Wallets(database=database, ledger=ledger, identity=identity, approvals=identity.approvals)
        #: Whoever is at the machine.
        self._machine = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=KEY_SCOPES)
        self.things: defaultdict[UUID, set[str]] = defaultdict(set)
        self._makers: Mapping[str, Callable[[UUID], Awaitable[str]]] = {
            "wallet_id": self.wallet,
            "transfer_id": self.transfer,
            "transaction_id": self.transfer,
            "hold_id": self.hold,
            "key_id": self.key_id,
            "session_id": self.session_id,
            "approval_id": self.approval,
            "user_id": self.user,
            "alias": self.alias,
            "dead_letter_id": self.dead_letter,
            "refused_event_id": self.refused_event,
            "step_up_id": self.step_up,
            "passkey_id": self.passkey,
            "identity_id": self.external_identity,
            "request_id": self.payment_request,
            "incoming_request_id": self.incoming_payment_request,
            "money_request_id": self.money_request,
            "record_id": self.audit_record,
            "deposit_id": self.deposit,
            "withdrawal_id": self.withdrawal,
            "export_id": self.key_export,
        }

    async def thing(self, name: str, owner: UUID) -> str:
        """What stands for the parameter of a path, new and of this owner's."""
        assert name in self._makers, f"say in World what a path's {name} is"
        made = await self._makers[name](owner)
        self.things[owner].add(made)
        return made

    async def person(self, role: Role) -> UUID:
        user_id = ids.new()
        async with self._database.transaction() as connection:
            await connection.execute(
                "INSERT INTO identity.owners (id, name, created_at) VALUES ($1, $2, now())", user_id, str(user_id)
            )
            await connection.execute(
                "INSERT INTO identity.users (id, display_name, locale, time_zone, roles, created_at)"
                " VALUES ($1, $2, 'en', 'UTC', $3, now())",
                user_id,
                f"Person {user_id}",
                [role],
            )
        self.things[user_id] |= {str(user_id)}
        return user_id

    async def login(self, role: Role) -> Login:
        """Somebody new with this role, who has just logged in."""
        user_id = await self.person(role)
        async with self._database.transaction() as connection:
            made = await self.identity.sessions.start(
                connection, user_id=user_id, methods=["pwd"], device="a device", address="127.0.0.1"
            )
        assert made.access_token is not None
        return Login(user_id, role, ROLE_SCOPES[role], made.access_token, UUID(made.session_id))

    async def key(self, role: Role) -> Login:
        """Somebody new with this role, who has an API key with all that it may carry."""
        user_id, scopes = await self.person(role), ROLE_SCOPES[role] & KEY_SCOPES
        made, _ = await self.identity.keys.create_key(
            by=None, grant=Grant(owner_id=user_id, name="A key", scopes=scopes)
        )
        assert made.key is not None
        return Login(user_id, role, frozenset(scopes), made.key)

    async def wallet(self, owner: UUID) -> str:
        holder = Principal(credential_id=ids.new(), owner_id=owner, scopes=frozenset({"wallets:write"}))
        made, _ = await self._wallets.registry.create(principal=holder, new=NewWallet(name=f"Wallet {ids.new()}"))
        await self._deposit(made.id)
        self.things[owner].add(made.id)
        return made.id

    async def transfer(self, owner: UUID) -> str:
        """One that the owner has got from somebody else."""
        return await self._deposit(await self.wallet(owner), _SOME)

    async def deposit(self, owner: UUID) -> str:
        """What has arrived on a chain."""
        made, wallet = ids.new(), await self.wallet(owner)
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO custody.deposits (id, chain, chain_tx, index, address, memo, token, asset, amount, kind,"
                " wallet_id, state, detected_at)"
                " VALUES ($1, 'bitcoin', $2, '0', 'x', '', '', 'BTC', 7, 'wallet', $3, 'detected', now())",
                made,
                made.hex,
                UUID(wallet),
            )
        return str(made)

    async def withdrawal(self, owner: UUID) -> str:
        """What has left for a chain."""
        made, wallet = ids.new(), await self.wallet(owner)
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO custody.withdrawals (id, wallet_id, owner_id, account_id, chain, asset, amount,"
                " service_fee, network_fee, opening, address, speed, state, key, fingerprint, created_at, changed_at,"
                " next_at)"
                " VALUES ($1, $2, $3, $1, 'bitcoin', 'BTC', 7, 0, 0, 0, 'x', 'normal', 'settled', $1, 0, now(), now(),"
                " 'infinity')",
                made,
                UUID(wallet),
                owner,
            )
        return str(made)

    async def hold(self, owner: UUID) -> str:
        placed = await self._wallets.holds.place(
            principal=self._machine, new=NewHold(wallet=await self.wallet(owner), money=_SOME), key=str(ids.new())
        )
        return str(placed.hold.id)

    async def key_id(self, owner: UUID) -> str:
        grant = Grant(owner_id=owner, name="A key", scopes=frozenset({"wallets:read"}))
        made, _ = await self.identity.keys.create_key(by=None, grant=grant)
        return made.id

    async def session_id(self, owner: UUID) -> str:
        async with self._database.transaction() as connection:
            made = await self.identity.sessions.start(
                connection, user_id=owner, methods=["pwd"], device="another device", address="127.0.0.1"
            )
        return made.session_id

    async def key_export(self, owner: UUID) -> str:
        return await self.approval(owner, kind="key_export")

    async def approval(self, owner: UUID, *, kind: str = "movement") -> str:
        """What the owner has asked for, and nobody has decided about."""
        wallet, key = await self.wallet(owner), str(ids.new())
        order = {"kind": "withdrawal", "from": wallet, "money": {"amount": "20.00", "asset": "USD"}}
        by = Principal(credential_id=ids.new(), owner_id=owner, scopes=frozenset(), user_id=owner)
        demand = Demand(
            kind=kind,
            content=order,
            needs=frozenset({"wallets:read"}),
            concerns=frozenset(),
            key=idempotency.key(owner=owner, text=key, operation="withdrawal", content=b""),
            key_text=key,
        )
        try:
            await self.identity.approvals.demand(principal=by, demand=demand)
        except Deferred as deferred:
            approval_id: str = deferred.waits_for.id
            return approval_id
        raise AssertionError("it waits")

    async def _deposit(self, wallet: str, money: Money = _HOLDING) -> str:
        order = Order(kind="deposit", target=wallet, money=money)
        moved = await self._wallets.movements.move(principal=self._machine, order=order, key=str(ids.new()))
        return str(moved.transfer.id)

    async def user(self, owner: UUID) -> str:
        return str(owner)

    async def alias(self, owner: UUID, *, visibility: str = "hidden") -> str:
        """A handle; strangers are told nothing of a hidden one."""
        name = f"h{ids.new().hex[-20:]}"
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO identity.aliases (id, owner_id, kind, shown, canonical, skeleton, visibility, created_at)"
                " VALUES ($1, $2, 'handle', $3, $4, $4, $5, now())",
                ids.new(),
                owner,
                f"@{name}",
                name,
                visibility,
            )
        return f"@{name}"

    async def payment_request(self, owner: UUID) -> str:
        """Money that the owner asks somebody else for."""
        return await self._asked(owner, await self.person("user"))

    async def incoming_payment_request(self, owner: UUID) -> str:
        """Money that somebody else asks the owner for."""
        return await self._asked(await self.person("user"), owner)

    async def _asked(self, owner: UUID, payer: UUID) -> str:
        return await self._added(
            "INSERT INTO wallets.payment_requests (id, owner_id, payer_id, alias, wallet_id, asset, units, reference,"
            " description, created_at, expires_at, request_digest, request_fingerprint)"
            " VALUES ($1, $2, $3, '@somebody', $4, 'USD', 100, '', '', now(), now() + interval '1 day', $1, 1)",
            owner,
            payer,
            UUID(await self.wallet(owner)),
        )

    async def money_request(self, owner: UUID) -> str:
        """What the owner has sent to be carried out later."""
        order = Order(source=await self.wallet(owner), target=await self.wallet(await self.person("user")), money=_SOME)
        by = Principal(credential_id=ids.new(), owner_id=owner, scopes=frozenset({"transfers:write"}))
        accepted = await self._wallets.requests.accept(principal=by, order=order, key=str(ids.new()))
        assert accepted.request is not None
        return str(accepted.request.id)

    async def audit_record(self, owner: UUID) -> str:
        """Of something that the owner has done, and sealed."""
        assert self._audit is not None, "an audit is kept there"
        record_id = str(ids.new())
        fact = Fact(
            type="something.done.v1",
            source="/tests",
            id=record_id,
            subject="something",
            time=clock.format(SystemClock().now()),
            origin=Origin(channel="api", owner_id=owner, user_id=owner),
        )
        await self._audit.recording.add([fact])
        await self._audit.sealing.seal()
        return record_id

    async def dead_letter(self, _owner: UUID) -> str:
        return await self._added(
            "INSERT INTO wallets.dead_letters (id, digest, first_seen, last_seen, sequence, deliveries, reason, detail,"
            " subject, headers, content) VALUES ($1, $1, now(), now(), 1, 1, 'malformed', 'No.', 'x', '{}', 'x')"
        )

    async def refused_event(self, _owner: UUID) -> str:
        return await self._added(
            "INSERT INTO messaging.refused_events (id, consumer, digest, type, reason, detail, position, deliveries,"
            " headers, body) VALUES ($1, 'nobody', $1, 'x', 'event_failed', 'No.', 'x', 1, '{}', 'x')"
        )

    async def step_up(self, owner: UUID) -> str:
        return await self._added(
            "INSERT INTO identity.step_ups (id, user_id, operation, content, digest, nonce, created_at, expires_at)"
            " VALUES ($1, $2, 'Withdraw', '{}', decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'),"
            " now(), now() + interval '5 min')",
            owner,
        )

    async def passkey(self, owner: UUID) -> str:
        return await self._added(
            "INSERT INTO identity.passkeys (id, user_id, credential_id, public_key, sign_count, name, synced,"
            " transports, created_at) VALUES ($1, $2, uuid_send($1), 'x', 0, 'A key', true, '{}', now())",
            owner,
        )

    async def external_identity(self, owner: UUID) -> str:
        return await self._added(
            "INSERT INTO identity.external_identities (id, provider, issuer, subject, owner_id, name, created_at)"
            " VALUES ($1, 'company', 'https://login.example', gen_random_uuid()::text, $2, 'Somebody', now())",
            owner,
        )

    async def _added(self, sql: str, *values: object) -> str:
        made = ids.new()
        async with self._database.connection() as connection:
            await connection.execute(sql, made, *values)
        return str(made)

    async def ended(self) -> str:
        """A token whose session has ended."""
        login = await self.login("user")
        async with self._database.transaction() as connection:
            await self.identity.sessions.end_all(connection, user_id=login.user_id, by=None, reason="logout")
        return login.token

    async def forged(self) -> dict[str, str]:
        """Tokens of somebody who has logged in as an administrator, each wrong in one way."""
        now, login = SystemClock().now(), await self.login("admin")
        assert login.session_id is not None
        (public, *_) = await self.identity.tokens.published()

        def unsigned(issuer: str = self._issuer, ago: timedelta = timedelta()) -> bytes:
            text, _ = tokens.unsigned(
                key_id=public["kid"],
                issuer=issuer,
                user_id=login.user_id,
                session_id=login.session_id or ids.new(),
                scopes=login.scopes,
                roles=frozenset({login.role}),
                methods=("pwd",),
                authenticated_at=now - ago,
                token_id=ids.new(),
                now=now - ago,
                seconds=600,
            )
            return text

        key = (await self.identity.tokens._keys(timedelta(seconds=1))).keys[public["kid"]]

        def signed(text: bytes) -> str:
            return tokens.signed(text, key.private.sign(text))

        payload = unsigned().split(b".")[1]
        secret = base64.urlsafe_b64decode(public["x"] + "=")
        hashed = _header(alg="HS256", typ="at+jwt", kid=public["kid"]) + b"." + payload
        return {
            "expired": signed(unsigned(ago=timedelta(seconds=700))),
            "for another audience": signed(_with_claims(unsigned(), aud="somebody else")),
            "of another issuer": signed(unsigned(issuer="https://evil.example")),
            "of a session that has ended": await self.ended(),
            "signed by nobody": (_header(alg="none", typ="at+jwt") + b"." + payload + b".").decode(),
            "with the public key as a secret": tokens.signed(hashed, hmac.digest(secret, hashed, hashlib.sha256)),
            "with another's signature": tokens.signed(unsigned(), b"\x01" * 64),
            "that are no token": "bf_live_nonsense",
        }


def _header(**fields: str) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=")


def _with_claims(text: bytes, **changed: str) -> bytes:
    header, payload = text.split(b".")
    claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4))) | changed
    assert set(claims) == set(Claims.__struct_fields__)
    return header + b"." + base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=")


@asynccontextmanager
async def beside(
    database: servers.TestDatabase, *, issuer: str, audit: servers.TestDatabase | None = None
) -> AsyncIterator[World]:
    """The world of an API over this database, and over that of the audit where one is kept."""
    connected = await Database.connect(database.app_dsn, name="world")
    ledger = await Ledger.start(database=connected)
    envelope = Envelope(local.load(master_keys.shared()))
    identity = facades.identity(connected, envelope=envelope, issuer=issuer)
    recorded = await Database.connect((audit or database).app_dsn, name="world", at_once=False)
    kept = Audit(database=recorded, envelope=envelope) if audit is not None else None
    try:
        yield World(connected, identity, ledger, issuer=issuer, audit=kept)
    finally:
        await recorded.close()
        identity.close()
        await ledger.close()
        await connected.close()
