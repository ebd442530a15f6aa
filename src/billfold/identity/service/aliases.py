"""Aliases: taking, verifying and releasing them, and finding out whom one stands for.

Nothing is remembered between requests: an alias that was released stops working for the next request that names it, in
every process, and a look-up is one statement that an index answers.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from billfold.identity import errors, events
from billfold.identity.contracts import (
    ALIASES_MAX,
    CUSTOM_MAX,
    Alias,
    AliasChange,
    Found,
    NewAlias,
    Payee,
)
from billfold.identity.domain import aliases as domain
from billfold.identity.domain import codes
from billfold.identity.domain.aliases import Name
from billfold.identity.service.notices import Notices
from billfold.identity.service.secrets import Secret
from billfold.identity.store import aliases as store
from billfold.identity.store import keys as key_store
from billfold.kernel import ids, looks, paging
from billfold.kernel.clock import Clock
from billfold.kernel.errors import BillfoldError
from billfold.kernel.principal import Principal
from billfold.platform.limiting.exceeded import Exceeded
from billfold.platform.limiting.limiter import Limiter
from billfold.platform.messaging import outbox
from billfold.platform.postgres.database import Connection, Database, UniqueViolation


class AliasLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted; None is not."""

    #: Questions of an owner for whom an alias stands, and payments of theirs to aliases that are not there or stand for
    #: somebody of another name.
    lookups: Limiter | None = None
    #: Aliases that a person adds.
    additions: Limiter | None = None
    #: Codes that an owner has sent to an address.
    codes: Limiter | None = None
    #: Codes that are sent to an address, whoever asks for them. Nobody is told to wait for others: no more are sent.
    mails: Limiter | None = None


class Aliases:
    """Use cases about aliases."""

    def __init__(
        self, *, database: Database, clock: Clock, notices: Notices, code_key: Secret, limits: AliasLimits
    ) -> None:
        self._database = database
        self._clock = clock
        self._notices = notices
        self._code_key = code_key
        self._limits = limits

    async def add(self, *, by: Principal, new: NewAlias) -> Alias:
        """Take an alias. One that the owner has already is answered as it is.

        An address that is not verified yet is pending, which keeps nobody from anything, and a code is sent to it:
        whether somebody else has it is told to nobody who can't read its mail.

        Raises:
            AliasInvalid, InvalidEmail, InvalidPhone, HandleReserved, HandleMixed
            AliasNotYours: a person names a custom one, or somebody who is no operator another owner.
            AliasTaken, TooManyAliases, OwnerUnknown, TooManyAliasRequests
        """
        name = domain.read(new.alias, pointer="/alias")
        domain.check_new(name)
        owner = _owner(by, new, name)
        if by.user_id is not None:
            await _count(self._limits.additions, by.owner_id.hex)
        key = await self._code_key() if domain.needs_proof(name.kind) else b""
        async with self._database.transaction() as connection:
            if not await key_store.lock_owner(connection, owner):
                raise errors.OwnerUnknown(pointer="/owner_id")
            known = await store.find(connection, name, owner=owner)
            if known is not None:
                return known
            alias = await self._insert(connection, by, owner, name, new)
            if alias.status == "pending":
                await self._send_code(connection, alias, key)
            return alias

    async def _insert(self, connection: Connection, by: Principal, owner: UUID, name: Name, new: NewAlias) -> Alias:
        custom = name.kind == "custom"
        if await store.count(connection, owner, custom=custom) >= (CUSTOM_MAX if custom else ALIASES_MAX):
            raise errors.TooManyAliases
        now = self._clock.now()
        profile = await store.profile(connection, owner)
        proved = domain.needs_proof(name.kind) and name.canonical in {profile.email, profile.phone}
        if proved or not domain.needs_proof(name.kind):
            await store.forget_ended(connection, name, owner=owner, now=now)
        alias = await store.insert(
            connection,
            alias_id=ids.new(),
            owner=owner,
            name=name,
            visibility=new.visibility or domain.visibility_of(name.kind),
            verified_at=now if proved else None,
            now=now,
        )
        if alias is None:
            raise errors.AliasTaken(pointer="/alias")
        await self._tell(connection, "alias.added.v1", alias, by)
        return alias

    async def list(self, *, by: Principal, limit: int | None = None, cursor: str | None = None) -> paging.Page[Alias]:
        """One's own aliases, the newest first.

        Raises:
            InvalidLimit, InvalidCursor
        """
        limit = paging.check_limit(limit)
        before = paging.decode(cursor, UUID) if cursor is not None else None
        async with self._database.connection() as connection:
            found = await store.page(connection, owner=by.owner_id, before=before, limit=limit + 1)
        return paging.cut(found, limit, place=lambda alias: alias.id)

    async def change(self, *, by: Principal, alias: str, change: AliasChange) -> Alias:
        """Change what one's alias shows to others.

        Raises:
            AliasInvalid, InvalidEmail, InvalidPhone, AliasUnknown
        """
        async with self._database.transaction() as connection:
            found = await self._locked(connection, by, domain.read(alias))
            changed = await store.set_visibility(connection, UUID(found.id), change.visibility)
            await self._tell(connection, "alias.changed.v1", changed, by)
        return changed

    async def release(self, *, by: Principal, alias: str) -> Alias:
        """Let go of one's alias: from now on nobody can pay to it, and for a while nobody else can take it.

        Raises:
            AliasInvalid, InvalidEmail, InvalidPhone, AliasUnknown
        """
        async with self._database.transaction() as connection:
            found = await self._locked(connection, by, domain.read(alias))
            return await self._release(connection, found, by)

    async def release_all(self, connection: Connection, *, owner: UUID, by: Principal | None) -> None:
        """Let go of all of an owner's, in the transaction that closes their account and has locked their row."""
        while found := await store.page(connection, owner=owner, before=None, limit=paging.LIMIT_MAX):
            for alias in found:
                await self._release(connection, alias, by)

    async def _release(self, connection: Connection, alias: Alias, by: Principal | None) -> Alias:
        now = self._clock.now()
        kept_until = now + timedelta(days=domain.TOMBSTONE_DAYS)
        if alias.status == "pending":
            await store.forget(connection, UUID(alias.id))
            released = msgspec.structs.replace(alias, status="released", released_at=now, kept_until=now)
        else:
            released = await store.release(connection, UUID(alias.id), now=now, kept_until=kept_until)
        await self._tell(connection, "alias.released.v1", released, by)
        return released

    async def verify(self, *, by: Principal, alias: str, code: str | None) -> Alias:
        """Prove that one's pending address is one's own, by the code that was sent there; without one, send another.

        Raises:
            AliasInvalid, InvalidEmail, InvalidPhone, AliasUnknown, AliasNotVerifiable, TooManyAliasRequests
            CodeWrong: it is wrong or too old, or too many others have been tried.
            AliasTaken: whoever proved it first still has it.
        """
        name, key = domain.read(alias), await self._code_key()
        try:
            async with self._database.transaction() as connection:
                found = await self._locked(connection, by, name)
                if found.status != "pending":
                    raise errors.AliasNotVerifiable
                if code is None:
                    await self._send_code(connection, found, key)
                    return found
                verified = await self._tried(
                    connection, by, found, name, codes.code_hash(key, UUID(found.id), code.strip())
                )
        except UniqueViolation:
            raise errors.AliasTaken from None
        # Raised out here, because a wrong try has to count.
        if verified is None:
            raise errors.CodeWrong(pointer="/code")
        return verified

    async def _tried(
        self, connection: Connection, by: Principal, alias: Alias, name: Name, code_hash: bytes
    ) -> Alias | None:
        now, alias_id = self._clock.now(), UUID(alias.id)
        sent = await store.try_code(connection, alias_id, tries_max=codes.ATTEMPTS_MAX, now=now)
        if sent is None or not hmac.compare_digest(sent, code_hash):
            return None
        await store.forget_ended(connection, name, owner=by.owner_id, now=now)
        verified = await store.verify(connection, alias_id, now=now)
        await self._tell(connection, "alias.verified.v1", verified, by)
        return verified

    async def resolve(self, *, by: Principal, alias: str) -> Payee:
        """Whom an alias stands for, as far as they show it to whoever asks.

        Raises:
            AliasInvalid, InvalidEmail, InvalidPhone, TooManyAliasRequests
            AliasUnknown: there is none, or it is hidden.
        """
        name = domain.read(alias)
        await _count(self._limits.lookups, by.owner_id.hex)
        async with self._database.connection() as connection:
            found = await store.active(connection, [name], asks=by.owner_id, sees_hidden=by.sees_everybody)
        if not found:
            raise errors.AliasUnknown
        owned = found[0]
        yours = owned.owner_id == by.owner_id
        looks.saw(own=yours)
        return Payee(
            alias=owned.shown,
            kind=owned.kind,
            payee=_shown(owned, by.owner_id),
            verified=owned.verified,
            yours=yours,
        )

    async def find(self, *, by: Principal, aliases: Sequence[str]) -> Mapping[str, Found | BillfoldError]:
        """Whom each of these aliases stands for, for a payment, by one statement; or why that can't be said.

        Only those that are not there count: whoever pays many people at once is none who guesses. But when an owner may
        ask no more, others' aliases that are there are refused like those that are not, so that going on tells nothing.
        """
        answers: dict[str, Found | BillfoldError] = {}
        names: dict[str, Name] = {}
        for text in dict.fromkeys(aliases):
            try:
                names[text] = domain.read(text)
            except BillfoldError as error:
                answers[text] = error
        async with self._database.connection() as connection:
            found = await store.active(connection, list(names.values()), asks=by.owner_id, sees_hidden=by.is_operator)
        owned = {(one.kind, one.canonical): one for one in found}
        refused = await self._spent(by) if any(one.owner_id != by.owner_id for one in found) else None
        for text, name in names.items():
            one = owned.get((name.kind, name.canonical))
            if one is None:
                refused = await self.guessed(by=by)
                answers[text] = refused or errors.AliasUnknown()
            elif refused is not None and one.owner_id != by.owner_id:
                answers[text] = refused
            else:
                answers[text] = _found(one, by.owner_id)
        return answers

    async def guessed(self, *, by: Principal) -> errors.TooManyAliasRequests | None:
        """Count a payment that names what is not so, and say so if that was one too many."""
        if by.is_operator or self._limits.lookups is None:
            return None
        return _refusal(await self._limits.lookups.hit(by.owner_id.hex))

    async def _spent(self, by: Principal) -> errors.TooManyAliasRequests | None:
        if by.is_operator or self._limits.lookups is None:
            return None
        return _refusal(await self._limits.lookups.spent(by.owner_id.hex))

    async def names(self, owners: Collection[UUID]) -> Mapping[UUID, str]:
        """What owners are called, for those whom they turn to by themselves."""
        async with self._database.connection() as connection:
            return await store.names(connection, list(owners))

    async def _locked(self, connection: Connection, by: Principal, name: Name) -> Alias:
        """One's own alias, or for an operator anybody's, with its owner's row locked.

        Raises:
            AliasUnknown
        """
        found = await store.find(connection, name, owner=by.owner_id)
        if found is None and by.is_operator:
            found = await store.find(connection, name, owner=None)
        if found is None:
            raise errors.AliasUnknown
        owner = UUID(found.owner_id)
        await key_store.lock_owner(connection, owner)
        # Whoever had the row before may have released it.
        found = await store.find(connection, name, owner=owner)
        if found is None:
            raise errors.AliasUnknown
        return found

    async def _send_code(self, connection: Connection, alias: Alias, key: bytes) -> None:
        await _count(self._limits.codes, f"{alias.owner_id}/{alias.alias}")
        if self._limits.mails is not None and await self._limits.mails.hit(alias.alias) is not None:
            return
        profile = await store.profile(connection, UUID(alias.owner_id))
        code = codes.code_text(secrets.randbelow(codes.CODES))
        alias_id = UUID(alias.id)
        await store.set_code(
            connection,
            alias_id,
            code_hash=codes.code_hash(key, alias_id, code),
            expires_at=self._clock.now() + codes.CODE_FOR,
        )
        await self._notices.write(
            connection,
            template="verification_code",
            to=alias.alias,
            locale=profile.locale or "en",
            code=code,
            minutes=str(int(codes.CODE_FOR.total_seconds() // 60)),
        )

    async def _tell(
        self, connection: Connection, kind: events.AliasEventType, alias: Alias, by: Principal | None
    ) -> None:
        event = events.alias_event(event_id=str(ids.new()), kind=kind, alias=alias, by=by, time=self._clock.now())
        await outbox.append(connection, event)


def _owner(by: Principal, new: NewAlias, name: Name) -> UUID:
    """Whose the alias is to be.

    Raises:
        AliasNotYours, InvalidId
    """
    owner = by.owner_id if new.owner_id is None else ids.parse(new.owner_id, pointer="/owner_id")
    if owner != by.owner_id and not (by.is_operator and name.kind == "custom"):
        raise errors.AliasNotYours(pointer="/owner_id")
    # Who pays to an IBAN believes that somebody has checked it, which is no one person's to say.
    if name.kind == "custom" and by.user_id is not None:
        raise errors.AliasNotYours(pointer="/alias")
    return owner


def _shown(owned: store.Owned, asks: UUID) -> str:
    """What whoever asks may see of the owner's name. A hidden alias is found by its owner, and by operators."""
    if owned.owner_id == asks or owned.visibility == "hidden":
        return owned.owner_name
    return domain.payee(owned.owner_name, owned.visibility)


def _found(owned: store.Owned, asks: UUID) -> Found:
    return Found(alias_id=owned.id, owner_id=owned.owner_id, payee=_shown(owned, asks), shown=owned.shown)


async def _count(limiter: Limiter | None, who: str) -> None:
    refusal = None if limiter is None else _refusal(await limiter.hit(who))
    if refusal is not None:
        raise refusal


def _refusal(exceeded: Exceeded | None) -> errors.TooManyAliasRequests | None:
    if exceeded is None:
        return None
    error = errors.TooManyAliasRequests()
    error.wait_s = exceeded.wait_s
    return error
