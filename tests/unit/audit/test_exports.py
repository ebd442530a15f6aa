"""Whatever is done to an export is found: without a database, by its text and a public key alone."""

import base64
from functools import partial

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from billfold.audit.contracts import RecordProof
from billfold.audit.domain import exports, merkle, notes, records
from billfold.audit.domain.notes import Head, Unreadable
from billfold.audit.service import signing
from tests.unit.audit import logs
from tests.unit.audit.test_merkle import inclusion

sizes = st.integers(min_value=1, max_value=40)


def places_of_records(lines: list[bytes]) -> list[int]:
    return [place for place, line in enumerate(lines) if not line.startswith(b'{"head"')]


@given(sizes)
def test_an_export_as_it_was_made_is_whole(size: int) -> None:
    found = logs.check(logs.export(size))
    assert found.faults == []
    assert (found.records, found.sealed) == (size, size)
    assert found.sealed_at == "2026-01-31T12:00:00.000000Z"


@given(sizes, st.data())
def test_a_changed_record_is_found_and_between_which_heads(size: int, data: st.DataObject) -> None:
    lines = logs.export(size)
    place = data.draw(st.sampled_from(places_of_records(lines)))
    position = records.shown(lines[place]).position
    at = data.draw(st.integers(0, len(lines[place]) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[place][at]))
    lines[place] = lines[place][:at] + bytes([byte]) + lines[place][at + 1 :]
    found = logs.check(lines)
    assert found.faults
    assert found.sealed == position // 3 * 3
    assert any(f"records {found.sealed} to" in fault.what for fault in found.faults)


@given(sizes, st.data())
def test_a_removed_record_is_found(size: int, data: st.DataObject) -> None:
    lines = logs.export(size)
    del lines[data.draw(st.sampled_from(places_of_records(lines)))]
    assert logs.check(lines).faults


@given(sizes, st.data())
def test_an_inserted_record_is_found(size: int, data: st.DataObject) -> None:
    lines = logs.export(size)
    place = data.draw(st.integers(0, len(lines)))
    lines.insert(place, logs.record(data.draw(st.integers(0, size))))
    assert logs.check(lines).faults


@given(st.integers(min_value=2, max_value=40), st.data())
def test_reordered_records_are_found(size: int, data: st.DataObject) -> None:
    lines = logs.export(size)
    places = places_of_records(lines)
    first, second = data.draw(st.lists(st.sampled_from(places), min_size=2, max_size=2, unique=True))
    lines[first], lines[second] = lines[second], lines[first]
    assert logs.check(lines).faults


@given(st.integers(min_value=2, max_value=20), st.data())
def test_records_renumbered_after_a_removal_are_found(size: int, data: st.DataObject) -> None:
    removed = data.draw(st.integers(0, size - 2))
    kept = [position for position in range(size) if position != removed]
    forged = [records.text(logs.fact(old), position=new, salt=bytes(16)) for new, old in enumerate(kept)]
    signed = logs.export(size)[-1]
    assert logs.check([*forged, signed]).faults
    assert logs.check([*forged, logs.record(size - 1), signed]).faults


@given(sizes, st.data())
def test_a_head_that_is_changed_in_any_place_is_found(size: int, data: st.DataObject) -> None:
    lines = logs.export(size)
    note = msgspec.json.decode(lines[-1])["head"]
    at = data.draw(st.integers(0, len(note) - 1))
    letter = data.draw(st.sampled_from("0aZ+/=\n ").filter(lambda letter: letter != note[at]))
    lines[-1] = exports.head_line(note[:at] + letter + note[at + 1 :])
    found = logs.check(lines)
    # What stands behind the signature, or is in no byte of it, is no part of what is signed.
    assert found.faults or notes.read(note[:at] + letter + note[at + 1 :]).head == notes.read(note).head


def test_somebody_with_another_key_convinces_nobody() -> None:
    other, _ = signing.Signer.new()
    found = logs.check(logs.export(4), signer=other)
    assert "not signed by a key that is trusted" in found.faults[0].what
    assert found.unknown_signer


def test_that_a_key_is_unknown_hides_no_other_fault() -> None:
    assert not logs.check(logs.export(4)).unknown_signer
    lines = logs.export(4)
    assert not logs.check(lines[1:], signer=logs.SIGNER).unknown_signer
    other, _ = signing.Signer.new()
    # The first record is missing, and one stands behind the last head.
    assert not logs.check(lines[1:], signer=other).unknown_signer
    assert not logs.check([*lines, logs.record(4)], signer=other).unknown_signer


def test_a_key_that_was_replaced_signs_nothing_any_more() -> None:
    new, _ = signing.Signer.new()
    kept = [logs.record(position) for position in range(3)]

    def signed(*signers: signing.Signer) -> list[bytes]:
        heads = [exports.head_line(one.sign(logs.head(kept[: size + 1]))) for size, one in enumerate(signers)]
        return [line for pair in zip(kept, heads, strict=True) for line in pair]

    trusted = partial(signing.signed_by, keys=[logs.SIGNER.public, new.public])
    assert exports.check(signed(logs.SIGNER, logs.SIGNER, new), trusted=trusted).faults == []
    found = exports.check(signed(logs.SIGNER, new, logs.SIGNER), trusted=trusted)
    assert found.sealed == 2
    assert "by a key that was replaced before" in found.faults[0].what


def test_a_log_that_was_written_anew_differs_from_a_head_that_was_published() -> None:
    published = Head(size=4, root=merkle.leaf_hash(b"something else"), time=logs.NOW)
    assert logs.check(logs.export(7)).faults == []
    assert "a published head of 4 records" in logs.check(logs.export(7), known=[published]).faults[0].what


def test_a_log_that_was_cut_short_lacks_what_was_published() -> None:
    published = logs.head([logs.record(position) for position in range(7)])
    assert logs.check(logs.export(7), known=[published]).faults == []
    assert "a published head has 7" in logs.check(logs.export(6), known=[published]).faults[0].what


def test_records_that_nothing_seals_are_told() -> None:
    assert "nothing seals them" in logs.check(logs.export(6)[:-1]).faults[0].what
    assert "no signed head" in logs.check([logs.record(0)]).faults[0].what
    assert "no signed head" in logs.check([]).faults[0].what


def test_lines_that_are_no_records_are_told() -> None:
    found = logs.check([b"", b"[" * 100_000, b"\xff", *logs.export(1)])
    assert [fault.line for fault in found.faults[:3]] == [1, 2, 3]


@given(sizes, st.data())
def test_one_record_is_proven_without_the_others(size: int, data: st.DataObject) -> None:
    lines = [logs.record(position) for position in range(size)]
    position = data.draw(st.integers(0, size - 1))
    document = proof_of(lines, position)
    trusted = partial(signing.signed_by, keys=[logs.SIGNER.public])
    assert exports.check_proof(document, trusted=trusted).faults == []
    another = msgspec.structs.replace(document, record=logs.record(position).decode().replace("192.0.2.1", "192.0.2.2"))
    assert exports.check_proof(another, trusted=trusted).faults
    elsewhere = msgspec.structs.replace(document, record=logs.record(position + 1).decode())
    assert exports.check_proof(elsewhere, trusted=trusted).faults
    stranger, _ = signing.Signer.new()
    by_another = partial(signing.signed_by, keys=[stranger.public])
    assert exports.check_proof(document, trusted=by_another).unknown_signer
    found = exports.check_proof(another, trusted=by_another)
    assert (len(found.faults), found.unknown_signer) == (2, False)
    published = Head(size=size, root=bytes(32), time=logs.NOW)
    assert exports.check_proof(document, trusted=trusted, known=[published]).faults


def test_a_proof_that_can_not_be_read_is_a_fault() -> None:
    document = RecordProof(record="?", proof=["x"], head="?")
    assert exports.check_proof(document, trusted=lambda _: logs.SIGNER.public).faults
    document = msgspec.structs.replace(proof_of([logs.record(0), logs.record(1)], 0), proof=["x"])
    assert exports.check_proof(document, trusted=lambda _: logs.SIGNER.public).faults


def test_a_key_is_one_line_that_is_checked() -> None:
    key = logs.SIGNER.public
    assert notes.read_key(f" {key}\n") == key
    for wrong in ("", "billfold/audit", str(key)[:-1], str(key).replace("billfold", "other"), str(key) + "A"):
        with pytest.raises(Unreadable):
            notes.read_key(wrong)


def test_a_signed_head_reads_as_it_was() -> None:
    head = logs.head([logs.record(0)])
    note = notes.read(logs.SIGNER.sign(head))
    assert note.head == head
    assert signing.signed_by(note, [logs.SIGNER.public]) == logs.SIGNER.public


def test_equal_facts_have_one_text_whatever_their_order() -> None:
    fact = logs.fact(1)
    turned = msgspec.structs.replace(fact, data=dict(reversed(list(fact.data.items()))))
    one, other = (records.text(each, position=5, salt=bytes(16)) for each in (fact, turned))
    assert one == other
    assert b"\n" not in one
    assert records.shown(one).data == fact.data


def proof_of(lines: list[bytes], position: int) -> RecordProof:
    """By the naive tree."""
    steps = [base64.b64encode(step).decode() for step in inclusion(position, lines)]
    return RecordProof(record=lines[position].decode(), proof=steps, head=logs.SIGNER.sign(logs.head(lines)))
