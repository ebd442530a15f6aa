"""The composition root: the only place that knows every context and puts them together.

Every role of every process is made of the same parts; a role takes those that it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import msgspec

import billfold
from billfold.app import balances, custody, history, mail, oidc, places, remote, settings, signing
from billfold.app.passkeys import relying_party
from billfold.audit import Audit
from billfold.custody import Custody
from billfold.identity import AliasLimits, Attempts, Hashing, Identity
from billfold.identity.contracts import Left
from billfold.kernel import money
from billfold.ledger import Ledger
from billfold.notifications import Notifications, StreamLimits
from billfold.platform.keys import Envelope, NoProvider, local
from billfold.platform.mail.queue import MailQueue
from billfold.platform.postgres.database import Connection, Database
from billfold.platform.telemetry import traces
from billfold.platform.telemetry.health import Check
from billfold.wallets import Wallets
from billfold.wallets.contracts import RequestLimits

#: Recording, sealing and publishing are one connection each, and few people read at a time.
_AUDIT_POOL_SIZE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The facades over one database."""

    database: Database
    envelope: Envelope
    mails: MailQueue
    ledger: Ledger
    identity: Identity
    custody: Custody
    wallets: Wallets
    notifications: Notifications
    #: None where no audit is kept.
    audit: Audit | None

    def checks(self) -> Mapping[str, Check]:
        """What must answer for this process to do its work."""
        database: dict[str, Check] = {"postgresql": self._check_database}
        return database | ({"ledger": self.ledger.check} if self.ledger.is_remote else {})

    async def _check_database(self) -> None:
        async with self.database.connection() as connection:
            await connection.execute("SELECT 1")


@contextlib.asynccontextmanager
async def opened(
    tree: settings.Settings,
    *,
    name: str,
    attempts: Attempts | None = None,
    alias_limits: AliasLimits | None = None,
    with_balances: bool = False,
    with_history: bool = False,
) -> AsyncIterator[Container]:
    """The parts over the database of the settings, until the block ends. `name` is what the database sees of us.

    `with_balances` opens the Redis that keeps balances, where one is set, and `with_history` the copy of
    the history.

    Raises:
        SettingInvalid: there is no DSN, or another setting can't be used.
        DatabaseUnavailable: nothing answers there, or not with these credentials.
    """
    if tree.postgres.dsn is None:
        raise settings.SettingInvalid(f"postgres.dsn is not set: set {settings.variable('postgres.dsn')}.")
    envelope = _envelope(tree.keys)
    mails = mail.queue(tree.mail, envelope)
    providers = oidc.providers(tree.oidc, public_url=tree.api.url)
    wallets: Wallets
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            traces.recording(
                endpoint=tree.traces.endpoint,
                share=tree.traces.sample,
                service=name.replace(" ", "-"),
                version=billfold.__version__,
            )
        )
        database = await Database.connect(tree.postgres.dsn, size=tree.postgres.pool_size, name=name)
        stack.push_async_callback(database.close)
        ledger = await stack.enter_async_context(remote.ledger(tree.ledger, database))
        identity = Identity(
            database=database,
            envelope=envelope,
            mail=mails,
            hashing=Hashing(**msgspec.structs.asdict(tree.passwords)),
            attempts=attempts,
            phone_region=tree.people.phone_region,
            leaving=lambda connection, user_id: _leaving(wallets, connection, user_id),
            issuer=tree.api.url,
            providers=providers,
            access_seconds=tree.tokens.access_seconds,
            party=relying_party(tree),
            alias_limits=alias_limits,
        )
        stack.callback(identity.close)
        kept = await stack.enter_async_context(balances.opened(tree.balances)) if with_balances else None
        copy = await stack.enter_async_context(history.opened(tree.history, ledger)) if with_history else None
        on_chains = Custody(
            database=database,
            ledger=ledger,
            # Not the method itself: there are no wallets yet.
            wallet_accounts=lambda connection, pairs: wallets.holders.open_accounts(connection, pairs),  # noqa: PLW0108
            freeze_wallet=lambda connection, wallet_id: wallets.registry.freeze_for_house(connection, wallet_id),  # noqa: PLW0108
            wallet_pages=lambda **page: wallets.holders.page(**page),  # noqa: PLW0108
            served=await stack.enter_async_context(custody.served(tree)),
            signer=await stack.enter_async_context(signing.connected(tree.signer)),
            approvals=identity.approvals,
            step_up=identity.step_up,
        )
        wallets = Wallets(
            database=database,
            ledger=ledger,
            identity=identity,
            custody=on_chains,
            approvals=identity.approvals,
            approval_above=_thresholds("security.approval_above", tree.security.approval_above),
            step_up=identity.step_up,
            step_up_above=_thresholds("security.step_up_above", tree.security.step_up_above),
            request_limits=_request_limits(tree.requests),
            balances_kept=kept,
            history=copy,
        )
        identity.approvals.carried_out_by(
            {**wallets.executors, **on_chains.exporting.executors, **on_chains.consenting.executors}
        )
        audit = await stack.enter_async_context(_audited(tree.audit, envelope, name))
        await stack.enter_async_context(_recording(identity))
        notifications = Notifications(
            database=database,
            wallets=wallets,
            keep=timedelta(days=tree.live.keep_days),
            limits=StreamLimits(all=tree.live.streams, of_owner=tree.live.streams_of_owner),
        )
        yield Container(
            database=database,
            envelope=envelope,
            mails=mails,
            ledger=ledger,
            identity=identity,
            custody=on_chains,
            wallets=wallets,
            notifications=notifications,
            audit=audit,
        )


@contextlib.asynccontextmanager
async def audited(tree: settings.Settings, *, name: str) -> AsyncIterator[Audit | None]:
    """The audit alone, if one is kept.

    Raises:
        SettingInvalid: the file of master keys can't be used.
    """
    async with _audited(tree.audit, _envelope(tree.keys), name) as audit:
        yield audit


@contextlib.asynccontextmanager
async def _audited(tree: settings.Audit, envelope: Envelope, name: str) -> AsyncIterator[Audit | None]:
    """The audit, if one is kept. Its database may be away: what is to be recorded waits in the broker."""
    if tree.dsn is None:
        yield None
        return
    database = await Database.connect(tree.dsn, size=_AUDIT_POOL_SIZE, name=name, at_once=False)
    try:
        yield Audit(database=database, envelope=envelope, places=places.of(tree))
    finally:
        await database.close()


async def _leaving(wallets: Wallets, connection: Connection, user_id: UUID) -> list[Left]:
    """Close the wallets of somebody who closes their account."""
    remaining = await wallets.departures.close_all(connection, owner_id=user_id)
    return [Left(wallet=one.wallet_id, name=one.name, why=one.why) for one in remaining]


def _request_limits(requests: settings.Requests) -> RequestLimits:
    return RequestLimits(
        open_max=requests.open_max,
        open_per_owner_max=requests.open_per_owner_max,
        expire_after=timedelta(seconds=requests.expire_seconds),
    )


def _envelope(keys: settings.Keys) -> Envelope:
    """What seals secrets. Without a file it opens none, which most commands at the database have no need of."""
    if keys.file is None:
        return Envelope(NoProvider())
    try:
        return Envelope(local.load(keys.file))
    except local.KeyFileInvalid as error:
        raise settings.SettingInvalid(f"keys.file can't be used: {error.detail}") from error


def _thresholds(name: str, text: str | None) -> Mapping[str, str]:
    try:
        return {} if text is None else money.thresholds(text)
    except ValueError as error:
        raise settings.SettingInvalid(f"{name} is wrong: {error}.") from error


@contextlib.asynccontextmanager
async def _recording(identity: Identity) -> AsyncIterator[None]:
    """The uses of keys and sessions are written down meanwhile."""
    task = asyncio.create_task(identity.uses.record(), name="record uses")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
