"""Facts, and who reads about them."""

from collections.abc import Iterable
from functools import partial
from uuid import UUID

from billfold.audit import Audit
from billfold.audit.contracts import Checked
from billfold.audit.domain import exports, notes
from billfold.audit.domain.notes import Head
from billfold.audit.service import signing
from billfold.kernel import ids
from billfold.kernel.facts import Fact
from billfold.kernel.origin import Origin
from billfold.kernel.principal import Principal

AUDITOR = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset({"audit:read"}))


def fact(number: int, *, by: UUID | None = None, about: UUID | None = None, type_: str = "wallet.frozen.v1") -> Fact:
    return Fact(
        type=type_,
        source="/billfold/wallets",
        id=f"id-{number}",
        subject=f"subject-{number}",
        time="2026-01-31T12:00:00.000000Z",
        origin=Origin(channel="api", address="192.0.2.1", owner_id=by),
        data={"owner_id": str(about)} if about else {},
    )


def facts(count: int, *, start: int = 0) -> list[Fact]:
    return [fact(number) for number in range(start, start + count)]


def person() -> Principal:
    user_id = ids.new()
    return Principal(credential_id=ids.new(), owner_id=user_id, scopes=frozenset(), user_id=user_id)


async def export(audit: Audit) -> list[bytes]:
    return [line async for line in audit.reading.exported()]


async def trusted(audit: Audit) -> exports.Trusted:
    keys = [notes.read_key(key) for key in await audit.sealing.public_keys()]
    return partial(signing.is_signed, keys=keys)


async def checked(audit: Audit, lines: Iterable[bytes] | None = None, *, known: Iterable[Head] = ()) -> Checked:
    return exports.check(await export(audit) if lines is None else lines, trusted=await trusted(audit), known=known)
