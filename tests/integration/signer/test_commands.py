"""`billfold signer` and `billfold keys rewrap`, at the signer's own machine."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from billfold.kernel import ids
from billfold.kernel.clock import SystemClock
from billfold.platform.keys import Keyring, local
from billfold.signer import errors
from billfold.signer.service import chains
from tests import master_keys, servers, signers

WARM = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ"
TEST = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"
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
        ended = self._run(*words, given=given)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def refused(self, *words: str) -> str:
        ended = self._run(*words)
        assert ended.returncode != 0, ended.stdout
        return ended.stderr

    def _run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "billfold.app.cli", *words]
        ended = subprocess.run(
            command, env=self._environment, input=given, capture_output=True, text=True, check=False, timeout=120
        )
        assert "sausage" not in ended.stdout + ended.stderr
        return ended

    def json(self, *words: str, given: str = "") -> Any:
        return json.loads(self.say(*words, "--json", given=given))


@pytest.fixture
def machine(database: signers.SignerDatabase, tmp_path: Path) -> Machine:
    return Machine(database, tmp_path)


@pytest.fixture
def own_machine(own_database: signers.SignerDatabase, tmp_path: Path) -> Machine:
    return Machine(own_database, tmp_path)


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
    (shown,) = machine.say("signer", "log", "--first", "3").splitlines()[3:4]
    assert ", ".join(f"{name} {value}" for name, value in sorted(limit.items())) in shown


def test_a_backup_that_is_not_there_and_too_few_shares_are_said_so(machine: Machine, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.json")
    for command in (("signer", "restore"), ("custody", "restore-drill")):
        said = machine.refused(*command, missing)
        assert "does not exist" in said
        assert "Traceback" not in said
    assert "no more shares" in machine.refused("signer", "backup", missing, "--shares", "2", "--needed", "3")


async def test_a_warm_address_and_claims_count_from_the_command_on(
    own_machine: Machine, own_database: signers.SignerDatabase
) -> None:
    """For a signer that runs already, too."""
    machine = own_machine
    ring = Keyring({"local": local.load(machine.keys_file)}, sealing="local")
    async with signers.started(own_database.dsn, ring=ring, chains=chains.of, clock=SystemClock()) as signer:
        tree = await signer.create(tree_id=ids.new(), chain="stellar", network="main")
        (hot,) = await signer.addresses(tree_id=tree.id, purpose="hot", first=0, count=1)

        async def claims() -> int:
            places = {hot: signers.HOT}
            return len(await signer.claim(tree_id=tree.id, snapshot=ids.new(), root=bytes(32), places=places))

        with pytest.raises(errors.ClaimsForbidden):
            await claims()
        told = machine.json("signer", "claims", "stellar")
        assert told == {"chain": "stellar", "network": "main", "claims": True}
        assert await claims() == 1
        assert machine.say("signer", "claims", "stellar", "--off") == "No address is claimed any more, on main.\n"
        with pytest.raises(errors.ClaimsForbidden):
            await claims()
    assert machine.say("signer", "warm", "stellar", WARM) == "The surplus may go there, on main.\n"
    assert machine.say("signer", "allow", "bitcoin", TEST.upper(), "--network", "test") == "It is allowed, on test.\n"
    none = {"allow_list": False, "allowed": [], "warm": [], "claims": False}
    assert machine.json("signer", "policy") == [
        {**none, "chain": "bitcoin", "network": "test", "allowed": [TEST]},
        {**none, "chain": "stellar", "network": "main", "warm": [WARM]},
    ]
    assert ["stellar", "main", "warm", WARM] in [line.split() for line in machine.say("signer", "policy").splitlines()]
    machine.say("signer", "allow", "bitcoin", TEST, "--network", "test", "--remove")
    told = machine.json("signer", "warm", "stellar", WARM, "--remove")
    assert told == {"chain": "stellar", "network": "main", "address": WARM, "warm": False}
    policy = [line for line in machine.json("signer", "log") if line["decision"] == "policy"]
    assert [line.get("warm", line.get("claims")) for line in policy] == [True, False, True, None, None, False]
    assert [line["destination"] for line in policy[2:]] == [WARM, TEST, TEST, WARM]


@pytest.mark.parametrize("words", [("claims",), ("warm", "X"), ("allow", "X"), ("allow-list",)])
def test_what_is_set_for_a_chain_that_nobody_signs_for_is_refused_and_can_be_taken_away(
    own_machine: Machine, words: tuple[str, ...]
) -> None:
    command, *rest = words
    assert "The signer does not sign for this chain." in own_machine.refused("signer", command, "stelar", *rest)
    own_machine.say("signer", command, "stelar", *rest, "--off" if command in ("claims", "allow-list") else "--remove")
