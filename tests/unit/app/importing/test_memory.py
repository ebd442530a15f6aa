"""What an import remembers, and its file of rejects."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import msgspec
import pytest

from billfold.app.importing import mapping as mappings
from billfold.app.importing.memory import LEDGERS_MAX, Counts, ImportRunning, Memory, MemoryUnwritable, Remembered
from billfold.app.importing.rejects import Kept, Rejects, RejectsTaken, RejectsUnwritable
from billfold.app.importing.rows import Reject
from billfold.app.importing.source import Position, Record, Source

_REMEMBERED = Remembered(
    position=Position(100, 7, "00"),
    counts=Counts(imported=3, rejected=1),
    rejects=Kept(path="/home/ada/bank.rejects.csv", rows=1, bytes=17, digest="00"),
    last_transfer="019aa2c6-7a00-7000-8000-00000000c001",
)
_MAPPING = mappings.load(None, {"asset": "USD", "account_column": "account", "amount_column": "amount"})


def _memory(folder: Path, name: str = "bank/é.csv") -> Memory:
    return Memory(folder, name=name)


def test_what_was_remembered_is_known_again(tmp_path: Path) -> None:
    memory = _memory(tmp_path / "new" / "folder")
    with memory.locked():
        assert memory.read() == []
        memory.write([_REMEMBERED])
    assert _memory(tmp_path / "new" / "folder").read() == [_REMEMBERED]
    assert _memory(tmp_path / "new" / "folder", name="other.csv").read() == []


def test_an_import_is_remembered_for_its_latest_ledgers(tmp_path: Path) -> None:
    memory = _memory(tmp_path)
    ledgers = [msgspec.structs.replace(_REMEMBERED, last_transfer=str(number)) for number in range(LEDGERS_MAX + 1)]
    memory.write(ledgers)
    assert memory.read() == ledgers[:LEDGERS_MAX]


def test_a_memory_that_can_not_be_understood_is_none(tmp_path: Path) -> None:
    memory = _memory(tmp_path)
    memory.path.write_text('{"half": ')
    assert memory.read() == []


def test_the_same_import_does_not_run_twice_at_once(tmp_path: Path) -> None:
    with _memory(tmp_path).locked(), pytest.raises(ImportRunning), _memory(tmp_path).locked():
        pass
    with _memory(tmp_path).locked(), _memory(tmp_path, name="other.csv").locked():
        pass


def test_a_folder_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MemoryUnwritable, match="Set XDG_STATE_HOME"), _memory(tmp_path / "file").locked():
        pass


def _source(folder: Path, content: str) -> Source:
    path = folder / "bank.csv"
    path.write_text(content)
    return Source(path, _MAPPING)


def _reject(record: Record, reason: str = "Why.") -> Reject:
    return Reject(line=record.line, field="amount", reason=reason, fields=record.fields)


def _records(source: Source) -> list[Record]:
    return [record for record in source.records() if isinstance(record, Record)]


def test_a_reject_file_has_the_columns_of_the_file_and_can_be_read_like_it(tmp_path: Path) -> None:
    path = tmp_path / "bank.rejects.csv"
    with (
        _source(tmp_path, "account,amount\na,x\nb,y\n") as source,
        Rejects(path, source, _MAPPING, folder=tmp_path) as rejects,
    ):
        first, second = _records(source)
        rejects.append([])
        assert not path.exists()
        rejects.append([_reject(first)])
        rejects.append([_reject(second), Reject(line=9, field="", reason="No row.", text='"')])
    with path.open(newline="") as file:
        found = list(csv.reader(file))
    assert found == [
        ["account", "amount", "reject_line", "reject_field", "reject_reason", "reject_text"],
        ["a", "x", "2", "amount", "Why.", ""],
        ["b", "y", "3", "amount", "Why.", ""],
        ["", "", "9", "", "No row.", '"'],
    ]
    with Source(path, _MAPPING) as source:
        assert len(_records(source)) == 3


def test_what_a_killed_import_wrote_beyond_its_memory_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "bank.rejects.csv"
    with _source(tmp_path, "account,amount\na,x\nb,y\n") as source:
        first, second = _records(source)
        with Rejects(path, source, _MAPPING, folder=tmp_path) as rejects:
            rejects.append([_reject(first)])
            kept = rejects.kept
            rejects.append([_reject(second)])
        before = path.read_bytes()
        with Rejects(path, source, _MAPPING, folder=tmp_path, kept=kept) as rejects:
            rejects.append([_reject(second)])
            assert rejects.rows == 2
    assert path.read_bytes() == before


def test_a_reject_file_that_was_corrected_is_left_alone(tmp_path: Path) -> None:
    with _source(tmp_path, "account,amount\na,x\nb,y\n") as source:
        first, second = _records(source)
        with Rejects(None, source, _MAPPING, folder=tmp_path) as rejects:
            rejects.append([_reject(first)])
            path, kept = rejects.path, rejects.kept
        corrected = path.read_text().replace("a,x", "a,1000.00")
        path.write_text(corrected)
        with pytest.raises(RejectsTaken, match="move it away"):
            Rejects(path, source, _MAPPING, folder=tmp_path, kept=kept)
        with Rejects(None, source, _MAPPING, folder=tmp_path, kept=kept) as rejects:
            rejects.append([_reject(second)])
    assert path.read_text() == corrected
    assert (rejects.path.name, rejects.rows) == ("bank.rejects-2.csv", 1)


def test_the_file_to_import_is_no_reject_file(tmp_path: Path) -> None:
    with (
        _source(tmp_path, "account,amount\na,x\n") as source,
        pytest.raises(RejectsTaken, match=r"bank\.csv is the file to import"),
    ):
        Rejects(tmp_path / "bank.csv", source, _MAPPING, folder=tmp_path)


def test_rejects_of_json_lines_are_json_lines_with_their_bytes_as_they_came(tmp_path: Path) -> None:
    path = tmp_path / "bank.rejects.jsonl"
    file = tmp_path / "bank.jsonl"
    file.write_bytes(b'{"account":"Dvo\xf8\xe1k","amount":"1"}\n')
    with Source(file, _MAPPING) as source, Rejects(path, source, _MAPPING, folder=tmp_path) as rejects:
        (record,) = source.records()
        text = record.text if not isinstance(record, Record) else ""
        rejects.append([Reject(line=1, field="", reason="–", text=text)])
    (line,) = path.read_bytes().splitlines()
    found = json.loads(line.decode(errors="surrogateescape"))
    assert found["reject_line"] == "1"
    assert found["reject_text"].encode(errors="surrogateescape") == file.read_bytes().rstrip()


def test_a_reject_file_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    with (
        _source(tmp_path, "account,amount\na,x\n") as source,
        Rejects(tmp_path / "absent" / "file", source, _MAPPING, folder=tmp_path) as rejects,
        pytest.raises(RejectsUnwritable, match="can't be written: No such file or directory"),
    ):
        rejects.append([_reject(record) for record in _records(source)])
