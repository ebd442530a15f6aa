"""Files of every kind and in every state as records."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from billfold.app.importing import mapping as mappings
from billfold.app.importing.mapping import Mapping, MappingInvalid
from billfold.app.importing.source import Broken, FileUnfinished, FileUnreadable, Record, Source

_HEADER = "id,account,amount\n"
_WHOLE = _HEADER + "1,a,1.00\n2,b,2.00\n3,c,3.00\n"


def _mapping(**more: object) -> Mapping:
    return mappings.load(None, {"asset": "USD", "account_column": "account", "amount_column": "amount", **more})


def _file(folder: Path, content: str | bytes, name: str = "bank.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _read(path: Path, mapping: Mapping | None = None, *, complete: bool = False) -> list[Record | Broken]:
    with Source(path, mapping or _mapping(), complete=complete) as source:
        return list(source.records())


def _until_unfinished(path: Path) -> tuple[list[str], str]:
    """The ids of the records before the error, and what it says."""
    seen = []
    with Source(path, _mapping()) as source, pytest.raises(FileUnfinished) as raised:
        for record in source.records():
            assert isinstance(record, Record)
            seen.append(record.fields["id"])
    return seen, raised.value.detail


def test_a_csv_file_is_records_with_their_lines(tmp_path: Path) -> None:
    assert _read(_file(tmp_path, _WHOLE)) == [
        Record(2, {"id": "1", "account": "a", "amount": "1.00"}),
        Record(3, {"id": "2", "account": "b", "amount": "2.00"}),
        Record(4, {"id": "3", "account": "c", "amount": "3.00"}),
    ]


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(_WHOLE.encode()),
        gzip.compress(_WHOLE[:30].encode()) + gzip.compress(_WHOLE[30:].encode()),
        b"\xef\xbb\xbf" + _WHOLE.encode(),
        _WHOLE.replace("\n", "\r\n").encode(),
        _WHOLE.replace("\n", "\n\n").encode(),
    ],
    ids=["gzip", "two gzip members", "byte order mark", "windows line ends", "blank lines"],
)
def test_the_same_rows_in_another_dress_are_the_same_records(tmp_path: Path, content: bytes) -> None:
    plain = _read(_file(tmp_path, _WHOLE))
    dressed = _read(_file(tmp_path, content, "other.csv"))
    assert [record.fields for record in dressed if isinstance(record, Record)] == [
        record.fields for record in plain if isinstance(record, Record)
    ]
    assert len(dressed) == len(plain)


def test_json_lines_keep_every_digit_of_a_number(tmp_path: Path) -> None:
    lines = (
        '{"id":1,"account":"a","amount":0.10000000000000000000001}\n\n{"id":2,"account":null,"amount":"2","x":[true]}'
    )
    assert _read(_file(tmp_path, lines, "bank.jsonl")) == [
        Record(1, {"id": "1", "account": "a", "amount": "0.10000000000000000000001"}),
        Record(3, {"id": "2", "account": "", "amount": "2", "x": "[true]"}),
    ]


def test_a_quoted_text_may_span_lines(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, _HEADER + '1,"a\nb",1.00\n2,c,2.00\n'))
    assert found == [
        Record(2, {"id": "1", "account": "a\nb", "amount": "1.00"}),
        Record(4, {"id": "2", "account": "c", "amount": "2.00"}),
    ]


def test_a_stray_quote_costs_its_line_and_no_other(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, _HEADER + '1,"a,1.00\n2,b,2.00\n3,c,3.00\n'))
    assert isinstance(found[0], Broken)
    assert (found[0].line, found[0].text) == (2, '1,"a,1.00')
    assert [record.line for record in found[1:]] == [3, 4]
    assert all(isinstance(record, Record) for record in found[1:])


def test_a_line_with_a_column_too_few_is_broken_and_says_so(tmp_path: Path) -> None:
    (broken,) = _read(_file(tmp_path, _HEADER + "1,a\n"))
    assert broken == Broken(2, "It has 2 columns, and the header has 3.", "1,a")


def test_a_line_that_is_no_json_object_is_broken(tmp_path: Path) -> None:
    found = _read(_file(tmp_path, '{"account":"a","amount":1}\n[1]\nnonsense\n{"account":"b","amount":2}\n'))
    assert [type(record) for record in found] == [Record, Broken, Broken, Record]


def test_a_last_line_without_an_end_is_not_taken_for_whole(tmp_path: Path) -> None:
    seen, said = _until_unfinished(_file(tmp_path, _WHOLE + "4,d,12"))
    assert seen == ["1", "2", "3"]
    assert "Line 5 of" in said
    assert "--complete" in said


def test_a_last_line_without_an_end_is_taken_when_the_file_is_said_to_be_complete(tmp_path: Path) -> None:
    assert len(_read(_file(tmp_path, _WHOLE + "4,d,12"), complete=True)) == 4


@pytest.mark.parametrize("complete", [False, True])
def test_a_json_line_cut_in_the_middle_is_never_taken(tmp_path: Path, *, complete: bool) -> None:
    path = _file(tmp_path, '{"account":"a","amount":"1"}\n{"account":"b","amo')
    if complete:
        assert [type(record) for record in _read(path, complete=True)] == [Record, Broken]
    else:
        with pytest.raises(FileUnfinished):
            _read(path)


@pytest.mark.parametrize("kept", [2, 10, 12, 60, -8, -1])
def test_a_compressed_file_that_breaks_off_is_refused_before_its_first_row(tmp_path: Path, kept: int) -> None:
    # Stored and not compressed, so that a changed amount is still a line like any other: the checksum alone tells.
    whole = gzip.compress(_WHOLE.encode(), compresslevel=0).replace(b"1.00", b"9.00")
    path = _file(tmp_path, whole[:kept], "bank.csv.gz")
    with pytest.raises(FileUnreadable, match=r"breaks off before its checksum.* Nothing was imported;"):
        Source(path, _mapping())


def test_a_compressed_file_that_is_cut_off_while_it_is_read_is_no_whole_one(tmp_path: Path) -> None:
    lines = _HEADER + "".join(f"{number},account {number * 7919 % 1009},{number}.00\n" for number in range(100_000))
    path = _file(tmp_path, gzip.compress(lines.encode()), "bank.csv.gz")
    with Source(path, _mapping()) as source:
        records = source.records()
        next(records)
        with path.open("r+b") as file:
            file.truncate(path.stat().st_size // 2)
        with pytest.raises(FileUnreadable, match="has changed while it was read"):
            list(records)


def test_a_compressed_file_that_is_damaged_is_refused_before_its_first_row(tmp_path: Path) -> None:
    lines = _HEADER + "".join(f"{number},a,{number}.00\n" for number in range(5_000))
    damaged = bytearray(gzip.compress(lines.encode()))
    damaged[-8] ^= 0xFF  # In the checksum, which stands at the end.
    path = _file(tmp_path, bytes(damaged), "bank.csv.gz")
    with pytest.raises(FileUnreadable, match=r"is damaged: .* Nothing was imported\."):
        Source(path, _mapping())


def test_a_line_without_an_end_in_sight_is_not_read_into_memory(tmp_path: Path) -> None:
    path = _file(tmp_path, _HEADER + "1," + "a" * 2_000_000 + ",1.00\n")
    with pytest.raises(FileUnreadable, match=r"Line 2 of .* is longer"):
        _read(path)


def test_bytes_of_another_encoding_are_kept_as_they_are(tmp_path: Path) -> None:
    path = _file(tmp_path, _HEADER.encode() + "1,Dvořák,1.00\n".encode("cp1250"))
    (wrong,) = _read(path)
    (right,) = _read(path, _mapping(encoding="cp1250"))
    assert isinstance(wrong, Record)
    assert isinstance(right, Record)
    assert wrong.fields["account"].encode(errors="surrogateescape") == "Dvořák".encode("cp1250")
    assert right.fields["account"] == "Dvořák"


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")], ids=["plain", "gzip"])
def test_an_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FileUnreadable, match="is empty"):
        Source(_file(tmp_path, content), _mapping())


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileUnreadable, match=r"absent\.csv can't be read: No such file"):
        Source(tmp_path / "absent.csv", _mapping())


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(MappingInvalid, match=r"no column 'acount' \(--account-column\); did you mean 'account'\?"):
        Source(_file(tmp_path, _WHOLE), _mapping(account_column="acount"))


def test_what_lies_behind_is_left_out(tmp_path: Path) -> None:
    path = _file(tmp_path, _WHOLE)
    with Source(path, _mapping()) as source:
        records = source.records()
        next(records)
        second = next(records)
        behind = source.position
    with Source(path, _mapping()) as source:
        assert source.skip_to(behind)
        rest = list(source.records())
        end = source.position
    assert second.line == 3
    assert [record.line for record in rest] == [4]
    with Source(_file(tmp_path, gzip.compress(_WHOLE.encode()), "bank.csv.gz"), _mapping()) as source:
        assert source.skip_to(end)
        assert list(source.records()) == []


def test_what_lies_behind_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = _file(tmp_path, _WHOLE)
    with Source(path, _mapping()) as source:
        list(source.records())
        behind = source.position
    path.write_text(_WHOLE.replace("1.00", "9.00"))
    with Source(path, _mapping()) as source:
        assert not source.skip_to(behind)
        assert [record.line for record in source.records()] == [2, 3, 4]


def test_what_was_appended_later_is_read_alone(tmp_path: Path) -> None:
    path = _file(tmp_path, _WHOLE)
    with Source(path, _mapping()) as source:
        list(source.records())
        behind = source.position
    path.write_text(_WHOLE + "4,d,4.00\n")
    with Source(path, _mapping()) as source:
        assert source.skip_to(behind)
        assert [record.line for record in source.records()] == [5]


def test_a_long_file_is_read_in_constant_memory(tmp_path: Path) -> None:
    lines = "".join(f"{number},account {number % 97},{number}.00\n" for number in range(10_000))
    path = _file(tmp_path, gzip.compress((_HEADER + lines).encode()), "bank.csv.gz")
    with Source(path, _mapping()) as source:
        tracemalloc.start()
        count = sum(1 for _ in source.records())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == 10_000
    assert most < len(lines) / 3
