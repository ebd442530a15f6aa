"""Another key signs from now on, and what the one before has signed stays good: it says itself which one comes next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from billfold.audit import Audit, verify
from billfold.audit.contracts import Filter, SignedHead
from billfold.audit.domain import notes, records
from billfold.audit.domain.exports import HeadLine
from billfold.audit.service import recording
from billfold.audit.service.signing import Signer
from billfold.kernel import origin
from billfold.kernel.origin import Origin
from billfold.platform.keys import Envelope, KeysUnavailable, local
from billfold.platform.postgres.database import Connection, Database
from tests import facades
from tests.commands import Billfold
from tests.integration.audit import support


async def sealed(audit: Audit, count: int, *, start: int) -> None:
    await audit.recording.add(support.facts(count, start=start))
    assert await audit.sealing.seal() is not None


def signers(export: list[bytes]) -> list[str]:
    """Whose signature is under each head of an export."""
    heads = [msgspec.json.decode(line, type=HeadLine).head for line in export if line.startswith(b'{"head"')]
    return [each.hex() for head in heads for each in notes.read(head).signatures]


async def test_an_export_over_a_rotation_is_checked_with_both_keys_and_with_none_alone(audit: Audit) -> None:
    await sealed(audit, 5, start=0)
    (old,) = await audit.sealing.public_keys()
    new = await audit.sealing.rotate()
    await sealed(audit, 5, start=5)
    assert await audit.sealing.public_keys() == [new, old]
    lines = await support.export(audit)
    found = verify(lines, keys=[new, old])
    assert (found.faults, found.records, found.sealed) == ([], 11, 11)
    for alone in (old, new):
        found = verify(lines, keys=[alone])
        assert "not signed by a key that is trusted" in found.faults[0].what
        assert found.unknown_signer


async def test_who_lacks_the_newest_key_is_told_that_and_not_of_tampering(audit: Audit, tmp_path: Path) -> None:
    await sealed(audit, 5, start=0)
    (old,) = await audit.sealing.public_keys()
    new = await audit.sealing.rotate()
    await sealed(audit, 1, start=5)
    file, forged = tmp_path / "proof.json", tmp_path / "forged.json"
    proof = await audit.reading.prove(by=support.AUDITOR, record_id="id-2")
    file.write_bytes(msgspec.json.encode(proof))
    forged.write_bytes(msgspec.json.encode(msgspec.structs.replace(proof, record=proof.record.replace("id-2", "id-3"))))
    billfold = Billfold({})
    assert "as it was sealed" in billfold("audit", "verify", file, "--key", old, "--key", new).out
    lacking = billfold("audit", "verify", file, "--key", old, code=4).out
    assert "Signed by a key that was not given" in lacking
    assert "tampered" not in lacking
    assert "tampered" in billfold("audit", "verify", forged, "--key", old, code=4).out


async def test_the_old_key_signs_the_record_that_names_the_new_one_and_nothing_after_it(audit: Audit) -> None:
    await sealed(audit, 5, start=0)
    (old,) = await audit.sealing.public_keys()
    new = await audit.sealing.rotate()
    of_old_alone = await support.export(audit)
    assert verify(of_old_alone, keys=[old]).faults == []
    record = records.shown(of_old_alone[-2])
    assert (record.type, record.before, record.data) == ("audit.key_rotated.v1", {"key": old}, {"key": new})
    await sealed(audit, 1, start=5)
    hashes = [notes.read_key(key).hash.hex() for key in (old, new)]
    assert signers(await support.export(audit)) == [hashes[0], hashes[0], hashes[1]]


async def test_a_rotation_says_who_has_done_it(audit: Audit) -> None:
    origin.begin(Origin(channel="cli", address="ada@laptop"))
    try:
        await audit.sealing.rotate()
    finally:
        origin.begin(None)
    (found,) = (await audit.reading.page(by=support.AUDITOR, asked=Filter(type="audit."))).items
    assert (found.outcome, found.origin.channel, found.origin.address) == ("done", "cli", "ada@laptop")


async def test_a_record_that_was_sealed_before_is_proven_by_the_new_key(audit: Audit) -> None:
    await sealed(audit, 5, start=0)
    new = await audit.sealing.rotate()
    await sealed(audit, 1, start=5)
    proof = await audit.reading.prove(by=support.AUDITOR, record_id="id-2")
    assert verify([msgspec.json.encode(proof)], keys=[new]).faults == []


async def test_a_key_that_nobody_can_open_any_more_is_replaced_by_one_that_signs_so_itself(
    audit: Audit, database: Database, tmp_path: Path
) -> None:
    await sealed(audit, 5, start=0)
    (old,) = await audit.sealing.public_keys()
    local.create(tmp_path / "another.key")
    later = Audit(database=database, envelope=Envelope(local.load(tmp_path / "another.key")))
    await later.recording.add(support.facts(1, start=5))
    for act in (later.sealing.seal, later.sealing.rotate):
        with pytest.raises(KeysUnavailable):
            await act()
    new = await later.sealing.rotate(lost=True)
    await sealed(later, 1, start=6)
    lines = await support.export(later)
    assert verify(lines, keys=[new, old]).faults == []
    assert [each == notes.read_key(new).hash.hex() for each in signers(lines)] == [False, True, True]


async def test_sealers_that_know_the_old_key_sign_by_the_new_one_once_it_is_there(
    audit: Audit, database: Database
) -> None:
    worker = Audit(database=database, envelope=facades.ENVELOPE)
    await sealed(worker, 3, start=0)
    new = await audit.sealing.rotate()
    await sealed(worker, 3, start=3)
    assert signers(await support.export(audit))[-1] == notes.read_key(new).hash.hex()


async def test_a_sealer_that_is_overtaken_by_a_rotation_signs_by_the_new_key(
    audit: Audit, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sealed(audit, 1, start=0)
    worker = Audit(database=database, envelope=facades.ENVELOPE)
    look, made = worker.sealing._signer_now, list[str]()

    async def overtaken() -> Signer:
        signer = await look()
        if not made:
            made.append(await audit.sealing.rotate())
        return signer

    monkeypatch.setattr(worker.sealing, "_signer_now", overtaken)
    monkeypatch.setattr(audit.sealing, "_seal", _adding(audit))
    await sealed(worker, 1, start=1)
    assert signers(await support.export(audit))[-1] == notes.read_key(made[0]).hash.hex()


def _adding(audit: Audit) -> Callable[[Connection, Signer], Awaitable[SignedHead | None]]:
    """As it seals, with one more record that it does not cover."""
    seal = audit.sealing._seal

    async def sealing(connection: Connection, signer: Signer) -> SignedHead | None:
        head = await seal(connection, signer)
        await recording.add(connection, [support.fact(99)])
        return head

    return sealing


async def test_whoever_seals_and_rotates_at_the_same_time_leaves_a_log_that_is_whole(
    audit: Audit, database: Database
) -> None:
    await sealed(audit, 1, start=0)
    workers = [Audit(database=database, envelope=facades.ENVELOPE) for _ in range(3)]

    async def seal(worker: Audit, start: int) -> None:
        for turn in range(10):
            await worker.recording.add(support.facts(2, start=start + 2 * turn))
            await worker.sealing.seal()

    await asyncio.gather(
        *(seal(worker, 100 * (number + 1)) for number, worker in enumerate(workers)),
        *(audit.sealing.rotate() for _ in range(4)),
    )
    found = verify(await support.export(audit), keys=await audit.sealing.public_keys())
    assert (found.faults, found.records) == ([], 1 + 3 * 20 + 4)


async def test_nothing_changes_when_the_new_key_can_not_be_kept(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    await sealed(audit, 1, start=0)
    before = await audit.sealing.public_keys(), await support.export(audit)

    async def fails(*_: object) -> None:
        raise RuntimeError("it ends here")

    monkeypatch.setattr("billfold.audit.store.heads.insert_signing_key", fails)
    with pytest.raises(RuntimeError, match="it ends here"):
        await audit.sealing.rotate()
    assert (await audit.sealing.public_keys(), await support.export(audit)) == before
