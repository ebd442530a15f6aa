import asyncio
import os
import re
from pathlib import Path

import pytest

from billfold.platform.keys import Envelope, KeysUnavailable, local


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "master.key"
    local.create(path)
    return path


def sealed(path: Path) -> bytes:
    return asyncio.run(Envelope(local.load(path)).seal(b"secret", context="here"))


def opened(path: Path, text: bytes) -> bytes:
    return asyncio.run(Envelope(local.load(path)).open(text, context="here"))


def refused(path: Path) -> str:
    with pytest.raises(local.KeyFileInvalid) as caught:
        local.load(path)
    return caught.value.detail


def test_a_new_file_is_its_owners_alone_and_has_one_key(file: Path) -> None:
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["master.key"]
    assert len(re.findall(r"^billfold-master-key-v1 ", file.read_text(), re.MULTILINE)) == 1
    assert opened(file, sealed(file)) == b"secret"


def test_a_file_that_is_there_is_never_overwritten(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(local.KeyFileInvalid, match="is there already"):
        local.create(file)
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["master.key"]


def test_where_no_file_can_be_made_it_says_why(tmp_path: Path) -> None:
    with pytest.raises(local.KeyFileInvalid, match="No such file or directory"):
        local.create(tmp_path / "nowhere" / "master.key")


def test_a_key_that_is_added_seals_and_the_ones_before_open(file: Path) -> None:
    text, copy = sealed(file), file.with_name("copy")
    copy.write_bytes(file.read_bytes())
    copy.chmod(0o600)
    added = local.add(file)
    assert opened(file, text) == b"secret"
    assert file.stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeysUnavailable, match=added):
        opened(copy, sealed(file))


def test_a_file_with_as_many_keys_as_can_be_takes_no_more(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "KEYS_MAX", 2)
    local.add(file)
    with pytest.raises(local.KeyFileInvalid, match="takes no more"):
        local.add(file)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o666])
def test_a_file_that_others_may_get_at_is_refused_with_what_to_do(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert f"chmod 600 {file}" in refused(file)


@pytest.mark.parametrize(("mode", "good"), [(0o400, True), (0o440, True), (0o460, False), (0o444, False)])
def test_of_roots_file_a_group_may_read_as_services_get_their_secrets(
    file: Path, mode: int, *, good: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = os.stat_result((0o100000 | mode, 1, 1, 1, 0, 0, 100, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: seen)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if good:
        local.load(file)
    else:
        assert "chmod 600" in refused(file)


def test_another_users_file_is_refused(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = os.stat_result((0o100600, 1, 1, 1, 4711, 0, 100, 0, 0, 0))
    monkeypatch.setattr(os, "fstat", lambda _: seen)
    assert "another user, 4711" in refused(file)


def test_a_missing_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    assert "billfold keys create-master" in refused(tmp_path / "master.key")


def test_a_folder_is_no_file_of_keys(tmp_path: Path) -> None:
    assert "Is a directory" in refused(tmp_path)


def test_no_file_that_is_cut_short_is_taken_for_a_whole_one(file: Path) -> None:
    content = file.read_bytes()
    for length in range(len(content.rstrip())):
        file.write_bytes(content[:length])
        assert str(file) in refused(file)


def test_no_character_of_a_key_can_be_mistyped(file: Path) -> None:
    content = file.read_text()
    begin = content.index("billfold-master-key-v1")
    for place in range(begin, len(content.rstrip())):
        for typed in "Ab0-é ":
            if typed != content[place]:
                file.write_text(content[:place] + typed + content[place + 1 :], encoding="utf-8")
                assert re.search("not a whole master key", refused(file))


@pytest.mark.parametrize("content", [b"", b"\n", b"# nothing\n", b"\0" * 100, b"\xff" * 100, b"a" * 100_000])
def test_something_else_is_no_file_of_keys(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    assert str(file) in refused(file)


def test_no_refusal_shows_a_key(file: Path) -> None:
    key = file.read_text().split()[-1]
    file.write_text(file.read_text().replace("v1 ", "v1 0"))
    assert key not in refused(file)
