"""`billfold signer` and `billfold keys rewrap`, at the signer's own machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from billfold.platform.keys import local
from tests import master_keys, servers, signers

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"


class Machine:
    """Where the commands are given."""

    def __init__(self, database: signers.SignerDatabase, folder: Path) -> None:
        self.keys_file = master_keys.file_in(folder)
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "BILLFOLD_DATA_DIR": str(folder / "data"),
            "BILLFOLD_SIGNER__DSN": database.dsn,
            "BILLFOLD_SIGNER__KEYS_FILE": str(self.keys_file),
        }

    def say(self, *words: str, given: str = "") -> str:
        command = [sys.executable, "-m", "billfold.app.cli", *words]
        ended = subprocess.run(
            command, env=self._environment, input=given, capture_output=True, text=True, check=False, timeout=120
        )
        assert ended.returncode == 0, ended.stderr
        assert "sausage" not in ended.stdout + ended.stderr
        return ended.stdout

    def json(self, *words: str, given: str = "") -> Any:
        return json.loads(self.say(*words, "--json", given=given))


@pytest.fixture
def machine(database: signers.SignerDatabase, tmp_path: Path) -> Machine:
    return Machine(database, tmp_path)


def test_seeds_are_imported_backed_up_and_brought_to_another_machine(
    machine: Machine, postgres_server: servers.PostgresServer, tmp_path: Path
) -> None:
    (tree,) = machine.json("signer", "import", "bitcoin", "--network", "test", given=WORDS + "\n")
    assert (tree["chain"], tree["network"], tree["public"][:4]) == ("bitcoin", "test", "vpub")
    file = tmp_path / "seeds.json"
    shares = machine.say("signer", "backup", str(file), "--shares", "3", "--needed", "2").splitlines()
    assert file.stat().st_mode & 0o777 == 0o600
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Machine(signers.create_database(postgres_server), tmp_path / "elsewhere")
    restored = elsewhere.json("signer", "restore", str(file), "--shares", given="\n".join(shares[1:]) + "\n")
    assert [one["public"] for one in restored] == [tree["public"]]
    local.add(machine.keys_file)
    assert machine.json("keys", "rewrap") == {"rewrapped": 1}
    machine.say("signer", "limit", "bitcoin", "--per-transaction", "5", "--per-window", "7", "--hours", "1")
    said = machine.json("signer", "log")
    assert [line["decision"] for line in said] == ["imported", "backed_up", "rewrapped", "policy"]
    limit = {"chain": "bitcoin", "network": "main", "per_transaction": "5", "per_window": "7", "window_s": "3600"}
    assert said[3]["limit"] == limit
