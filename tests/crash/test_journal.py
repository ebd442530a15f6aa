"""The journal that the audit believes: it may be read while it is written, and a broken one is not read over."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.crash import journal


def _line(key: str) -> bytes:
    return msgspec.json.encode(journal.Answer(key, 422, {"code": "insufficient_funds"})) + b"\n"


def test_a_line_that_is_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    reader = journal.Reader(path)
    assert list(reader.news()) == []
    path.write_bytes(_line("a"))
    assert [line.key for line in reader.news()] == ["a"]
    whole = _line("b")
    with path.open("ab", buffering=0) as file:
        for byte in whole[:-1]:
            file.write(bytes([byte]))
            assert [line.key for line in journal.read(path)] == ["a"]
            assert list(reader.news()) == []
        file.write(whole[-1:])
    assert [line.key for line in reader.news()] == ["b"]
    assert [line.key for line in journal.read(path)] == ["a", "b"]


def test_a_line_that_is_torn_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(_line("a")[:-3] + b"\n" + _line("b"))
    with pytest.raises(msgspec.DecodeError):
        list(journal.read(path))
