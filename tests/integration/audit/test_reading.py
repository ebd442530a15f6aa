"""Who sees which records: auditors everybody's, and everybody their own."""

from datetime import UTC, datetime

import msgspec
import pytest

from billfold.audit import Audit, errors
from billfold.audit.contracts import Filter
from billfold.audit.domain import exports
from billfold.kernel import ids, paging
from billfold.kernel.principal import MissingScope
from tests.integration.audit import support

ADA, BOB = ids.many(2)


async def found(audit: Audit, **asked: object) -> list[str]:
    page = await audit.reading.page(by=support.AUDITOR, asked=Filter(**asked))  # type: ignore[arg-type]
    return sorted(record.id for record in page.items)


async def test_records_are_found_by_what_they_say(audit: Audit) -> None:
    await audit.recording.add(
        [
            support.fact(1, by=ADA, about=BOB),
            support.fact(2, by=BOB, type_="wallet_x.frozen.v1"),
            support.fact(3, about=BOB, type_="user.login_failed.v1"),
        ]
    )
    assert await found(audit) == ["id-1", "id-2", "id-3"]
    assert await found(audit, type="wallet.") == ["id-1"]
    assert await found(audit, type="wallet_") == []
    assert await found(audit, type="user.login_failed.v1") == ["id-3"]
    assert await found(audit, actor=str(BOB)) == ["id-2"]
    assert await found(audit, owner=str(BOB)) == ["id-1", "id-3"]
    assert await found(audit, subject="subject-2") == ["id-2"]
    assert await found(audit, outcome="forbidden") == []
    assert await found(audit, since=datetime(2026, 1, 31, 12, tzinfo=UTC)) == ["id-1", "id-2", "id-3"]
    assert await found(audit, until=datetime(2026, 1, 31, 12, tzinfo=UTC)) == []
    assert await found(audit, actor=str(ADA), owner=str(BOB)) == ["id-1"]


async def test_pages_follow_one_another(audit: Audit) -> None:
    await audit.recording.add(support.facts(5))
    seen: list[int] = []
    cursor = None
    while True:
        page = await audit.reading.page(by=support.AUDITOR, asked=Filter(), limit=2, cursor=cursor)
        seen += [record.position for record in page.items]
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [4, 3, 2, 1, 0]
    with pytest.raises(paging.InvalidCursor):
        await audit.reading.page(by=support.AUDITOR, asked=Filter(), cursor=paging.encode(2**70))


async def test_everybodys_records_take_a_scope(audit: Audit) -> None:
    await audit.recording.add(support.facts(1))
    await audit.sealing.seal()
    with pytest.raises(MissingScope):
        await audit.reading.page(by=support.person(), asked=Filter())
    with pytest.raises(MissingScope):
        await audit.reading.prove(by=support.person(), record_id="id-0")


async def test_ones_own_records_take_a_login(audit: Audit) -> None:
    ada = support.person()
    await audit.recording.add([support.fact(0, by=ada.owner_id)])
    await audit.sealing.seal()
    key = msgspec.structs.replace(ada, scopes=frozenset({"assets:read", "wallets:read"}))
    with pytest.raises(MissingScope):
        await audit.reading.own(by=key)
    with pytest.raises(MissingScope):
        await audit.reading.prove_own(by=key, record_id="id-0")


async def test_one_sees_and_proves_ones_own_records_and_nobody_elses(audit: Audit) -> None:
    ada, bob = support.person(), support.person()
    of_ada, of_bob = ada.owner_id, bob.owner_id
    await audit.recording.add(
        [
            support.fact(0, by=of_ada),
            support.fact(1, by=of_bob),
            support.fact(2, by=of_bob, about=of_ada),
            support.fact(3, about=of_ada, type_="user.login_failed.v1"),
            support.fact(4),
            support.fact(5, about=of_ada, channel="cli"),
        ]
    )
    await audit.sealing.seal()
    page = await audit.reading.own(by=ada)
    assert [record.position for record in page.items] == [3, 0]
    trusted = await support.trusted(audit)
    for position in range(6):
        if position in (0, 3):
            proven = await audit.reading.prove_own(by=ada, record_id=f"id-{position}")
            assert exports.check_proof(proven, trusted=trusted).faults == []
            assert str(of_bob) not in proven.record
        else:
            with pytest.raises(errors.RecordUnknown):
                await audit.reading.prove_own(by=ada, record_id=f"id-{position}")
