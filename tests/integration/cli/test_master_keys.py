"""`billfold keys create-master`."""

import re
from pathlib import Path

from billfold.platform.keys import local
from tests.commands import Billfold

billfold = Billfold({})


def test_a_file_of_master_keys_is_made_once_and_takes_more_keys(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    first = billfold("keys", "create-master", file).out
    assert "Keep a copy apart" in first
    assert "is there already" in billfold("keys", "create-master", file, code=2).err
    second = billfold.json("keys", "create-master", file, "--add")
    assert second["file"] == str(file)
    ids = re.findall(r"^billfold-master-key-v1 (\S+) ", file.read_text(), re.MULTILINE)
    assert ids[0] in first
    assert ids[1] == second["key"]
    local.load(file)


def test_no_command_shows_a_master_key(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    said = [billfold("keys", "create-master", file), billfold("keys", "create-master", file, "--add", "--json")]
    for line in file.read_text().splitlines()[-2:]:
        assert not any(line.split()[2] in result.out + result.err for result in said)


def test_a_key_is_added_to_nothing_but_a_good_file(tmp_path: Path) -> None:
    assert "is not there" in billfold("keys", "create-master", tmp_path / "none", "--add", code=2).err
    (tmp_path / "other").write_text("else")
    (tmp_path / "other").chmod(0o600)
    assert "is not a whole master key" in billfold("keys", "create-master", tmp_path / "other", "--add", code=2).err
    assert (tmp_path / "other").read_text() == "else"
