"""`billfold custody restore-drill`: a backup is good when every address that was given out grows from it."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, cast

import asyncpg
import msgspec
import pytest

from billfold.app import settings
from billfold.app.drilling import comparing, drill
from billfold.app.drilling.drill import Opening, Report
from billfold.app.supervisor import diagnosis_servers
from billfold.chains.port import Chain
from billfold.chains.stellar import showing as stellar
from billfold.custody import Custody, Served, Showing
from billfold.custody.contracts import IssuedAddress
from billfold.kernel import ids, origin
from billfold.kernel.origin import Origin
from billfold.ledger import Ledger
from billfold.platform.postgres.database import Database
from billfold.signer import Drills, Signer, contracts, errors
from billfold.signer.service import chains as known_chains
from tests import servers, signers
from tests.integration.custody.simulated import SimulatedChain
from tests.integration.custody.support import BITCOIN, TERMS

PASSPHRASE = "correct horse battery staple"
TOKEN = "USDC:GDRXE2BQUC3AZNPVFSCEZ76NJ3WWL25FYFK6RGZGIEKWE4SOOHSUJUJ6"
WALLETS = 7
#: Of each chain a hot address and the wallets'; of Bitcoin one for change besides.
ISSUED = 2 * (WALLETS + 1) + 1
DEADLINE_S = 60


class Holding(SimulatedChain):
    """A chain on which each address holds five of everything."""

    async def balance(self, _address: str, *, token: str | None, height: int) -> int:
        assert height == 0
        return 5 if token is None else 7


class Place:
    """The signer that runs, custody that has addresses of it, and where drills take place."""

    def __init__(self, signer: Signer, custody: Custody, drills: Drills, server: servers.PostgresServer) -> None:
        self.signer, self.custody, self.drills = signer, custody, drills
        self._server = server
        self._scratch: signers.SignerDatabase | None = None
        self.steps: list[tuple[int, int]] = []

    def scratch(self) -> AbstractAsyncContextManager[Signer]:
        """The same for all drills of a test, which restore the same."""
        self._scratch = self._scratch or signers.create_database(self._server)
        return signers.started(self._scratch.dsn, chains=known_chains.of)

    def elsewhere(self) -> AbstractAsyncContextManager[Signer]:
        return signers.started(signers.create_database(self._server).dsn, chains=known_chains.of)

    async def drill(self, content: bytes, **given: Any) -> Report:
        tokens = given.pop("tokens", None)
        return await drill.run(
            Opening(content=content, **given),
            custody=self.custody,
            drills=self.drills,
            advance=lambda done, total: self.steps.append((done, total)),
            tokens=tokens,
            place=self.scratch,
        )

    async def told(self) -> list[dict[str, Any]]:
        lines = [msgspec.json.decode(line.content) for line in await self.signer.log()]
        return [line for line in lines if line["decision"] == "drilled"]


@pytest.fixture
def signer_database(postgres_server: servers.PostgresServer) -> signers.SignerDatabase:
    return signers.create_database(postgres_server)


@pytest.fixture
async def place(
    signer_database: signers.SignerDatabase,
    database: Database,
    ledger: Ledger,
    postgres_server: servers.PostgresServer,
) -> AsyncIterator[Place]:
    chains = [(Holding(), BITCOIN), (Holding(name="stellar", coin="XLM", model="nonce"), cast("Showing", stellar))]
    async with signers.started(signer_database.dsn, chains=known_chains.of) as signer:
        custody = Custody(
            database=database,
            ledger=ledger,
            wallet_accounts=cast("Any", None),
            freeze_wallet=cast("Any", None),
            served=[Served(chain=cast("Chain", one), terms=TERMS, showing=showing) for one, showing in chains],
            signer=signer,
        )
        for one, _ in chains:
            await custody.addresses.issue(chain=one.name, wallet_ids=[ids.new() for _ in range(WALLETS)])
        own = await Database.connect(signer_database.dsn, name="test")
        yield Place(signer, custody, Drills(database=own), postgres_server)
        await own.close()


async def test_a_right_backup_derives_every_address_and_its_time_is_kept(place: Place, database: Database) -> None:
    file = await place.signer.backup(text=PASSPHRASE)
    lines = len(await place.signer.log())
    origin.begin(Origin(channel="cli", address="ada@here"))
    found = await place.drill(file, text=PASSPHRASE)
    assert (found.good, found.trees, found.issued, found.derived, found.equal) == (True, 2, ISSUED, ISSUED, ISSUED)
    assert (list(found.differences), found.held, found.logged) == ([], None, True)
    assert place.steps[-1] == (ISSUED, ISSUED)
    (told,) = await place.told()
    assert (told["backup"], told["equal"], "fault" in told) == (found.backup, ISSUED, False)
    # The log of the signer that runs has one line more, and nothing was restored there.
    assert len(await place.signer.log()) == lines + 1
    assert await place.drills.last_good() is not None
    async with database.connection() as connection:
        kept = await connection.fetch("SELECT convert_from(payload, 'UTF8') FROM messaging.outbox WHERE kind = 'audit'")
    assert [found.backup in row[0] and "restore.drilled.v1" in row[0] for row in kept] == [True]


async def test_shares_do_as_well_and_too_few_or_a_changed_file_are_written_down_as_no_good(
    place: Place, signer_database: signers.SignerDatabase
) -> None:
    file, shares = await place.signer.backup_in_shares(threshold=2, shares=3)
    with pytest.raises(errors.BackupInvalid, match="takes 2"):
        await place.drill(file, shares=shares[:1])
    broken = json.loads(file)
    broken["sealed"] = broken["sealed"][:-8] + "AAAAAAA="
    for content in (file[:-50], b"", json.dumps(broken).encode()):
        with pytest.raises(errors.BackupInvalid):
            await place.drill(content, shares=shares)
    assert await place.drills.last_good() is None
    tree = settings.replaced(settings.Settings(), {"signer.dsn": signer_database.dsn})
    assert await diagnosis_servers.drill(tree) == []
    await place.signer.create(tree_id=ids.new(), chain="bitcoin", network="test")
    assert [(one.state, one.found) for one in await diagnosis_servers.drill(tree)] == [
        ("warn", "no backup of the seeds was ever tried")
    ]
    assert (await place.drill(file, shares=shares[1:])).good
    assert [(one.state, one.found[:22]) for one in await diagnosis_servers.drill(tree)] == [
        ("ok", "the last good one was ")
    ]
    assert [line.get("fault") for line in await place.told()] == [*["backup_invalid"] * 4, None]


async def test_a_backup_of_other_seeds_shows_which_addresses_are_lost(place: Place) -> None:
    trees = {tree.chain: tree for tree in await place.custody.issued.trees()}
    async with place.elsewhere() as other:
        # The right id with another seed, and no tree of Stellar at all.
        await other.create(tree_id=trees["bitcoin"].tree_id, chain="bitcoin", network="sandbox")
        await other.create(tree_id=ids.new(), chain="stellar", network="sandbox")
        file = await other.backup(text=PASSPHRASE)
    found = await place.drill(file, text=PASSPHRASE)
    assert (found.good, found.issued, found.derived, found.equal) == (False, ISSUED, WALLETS + 2, 0)
    assert {(one.chain, one.derived is None) for one in found.differences} == {("bitcoin", False), ("stellar", True)}
    assert all(one.issued != one.derived for one in found.differences)
    assert [line["fault"] for line in await place.told()] == ["addresses_differ"]
    assert await place.drills.last_good() is None


async def test_one_address_without_a_key_is_found_and_a_scan_asks_for_what_the_others_hold(
    place: Place, own_database: servers.TestDatabase
) -> None:
    owner = await asyncpg.connect(own_database.owner_dsn)
    await owner.execute("UPDATE custody.addresses SET memo = 'id:5' WHERE chain = 'stellar' AND place = 3")
    await owner.execute(
        "INSERT INTO custody.coins (chain, chain_tx, index, address, amount, height, mature_at) "
        "SELECT chain, address, '0', address, 5, 0, 0 FROM custody.addresses WHERE chain = 'bitcoin' AND place < 2"
    )
    await owner.close()
    found = await place.drill(await place.signer.backup(text=PASSPHRASE), text=PASSPHRASE, tokens={"stellar": [TOKEN]})
    assert (found.good, found.equal) == (False, ISSUED - 1)
    assert [(one.chain, one.place, one.issued[-5:]) for one in found.differences] == [("stellar", 3, " id:5")]
    assert found.held is not None
    held = {(one.chain, one.token): (one.addresses, one.units) for one in found.held}
    # Two of deposits, the hot one, and that of change; of Stellar the one account that all share.
    assert held == {("bitcoin", None): (4, 20), ("stellar", None): (1, 5), ("stellar", TOKEN): (1, 7)}


def test_addresses_are_derived_in_runs_that_are_neither_long_nor_full_of_gaps() -> None:
    def one(place: int, chain: str = "bitcoin") -> IssuedAddress:
        return IssuedAddress(chain=chain, purpose="deposit", place=place, address="a", memo="")

    places = [0, 1, 90, 500, 501]
    found = list(comparing.runs([*map(one, places), one(502, "ethereum")]))
    assert [[each.place for each in run] for run in found] == [[0, 1, 90], [500, 501], [502]]
    long = list(comparing.runs([one(place) for place in range(0, 3 * contracts.ADDRESSES_MAX, 50)]))
    assert max(run[-1].place - run[0].place for run in long) < contracts.ADDRESSES_MAX


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Machine:
    """Where the command is given, with a folder of its own for what is temporary."""

    def __init__(self, own: servers.TestDatabase, signer: signers.SignerDatabase, folder: Path) -> None:
        self.temporary = folder / "t"
        self.temporary.mkdir()
        # The server of the drill is started by a user of its own.
        folder.chmod(0o755)
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            "TMPDIR": str(self.temporary),
            "BILLFOLD_DATA_DIR": str(folder / "data"),
            "BILLFOLD_POSTGRES__DSN": own.app_dsn,
            "BILLFOLD_SIGNER__DSN": signer.dsn,
        }

    def drill(self, file: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "billfold.app.cli", "custody", "restore-drill", str(file), "--json"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, env=self._environment, text=True, **pipes)
        assert process.stdin is not None
        process.stdin.write(PASSPHRASE + "\n")
        process.stdin.flush()
        return process

    def left(self) -> list[Path]:
        return list(self.temporary.iterdir())

    def wiped(self) -> None:
        until(lambda: not self.left())


async def test_a_drill_that_is_killed_leaves_nothing_and_the_next_one_is_good(
    place: Place, own_database: servers.TestDatabase, signer_database: signers.SignerDatabase, tmp_path: Path
) -> None:
    file = tmp_path / "seeds.json"
    file.write_bytes(await place.signer.backup(text=PASSPHRASE))
    machine = Machine(own_database, signer_database, tmp_path)
    owner = await asyncpg.connect(own_database.owner_dsn)
    async with owner.transaction():
        # It is stopped after it has restored, when it asks how many addresses there are.
        await owner.execute("LOCK custody.addresses IN ACCESS EXCLUSIVE MODE")
        process = machine.drill(file)
        async with asyncio.timeout(DEADLINE_S):
            while not await owner.fetchval(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'custody.addresses'::regclass AND NOT granted)"
            ):
                assert process.poll() is None, process.communicate()
                await asyncio.sleep(0.05)
        assert len(machine.left()) == 1
        process.send_signal(signal.SIGKILL)
        process.communicate()
    await owner.close()
    machine.wiped()
    assert await place.told() == []
    again = machine.drill(file)
    said, complained = await asyncio.to_thread(again.communicate)
    assert again.returncode == 0, complained
    assert (json.loads(said)["equal"], len(await place.told())) == (ISSUED, 1)
    machine.wiped()
