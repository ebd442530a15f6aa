"""Whatever step the reading of a chain is killed at, the next process finishes it: once, and no more.

The steps are not listed: whoever reads commits, and asks the ledger, is seen doing so. What is new there has no words
here, and fails. The table of docs/why/exactly-once.md is what was found.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tests import servers
from tests.integration import kill_tables
from tests.integration.withdrawals.simulated import MODELS

Found = Mapping[str, Mapping[str, str]]
#: The words of the page for each change of the database, by what happens and where in the code it is made.
_CHANGES = {
    "1 recording.pending": ("1", "seen"),
    "2 recording.record": ("2", "recorded"),
    "2 crediting._start": ("3", "chosen"),
    "2 crediting._ask": ("5", "credited"),
    "3 recording.walk_back": ("7", "walked back"),
    "3 recording.record": ("7", "read on"),
    "3 reverting._start": ("8", "chosen"),
    "3 reverting._ask": ("10", "reverted"),
    "4 recording.record": ("again 2", "recorded"),
    "4 crediting._start": ("again 3", "chosen"),
    "4 crediting._ask": ("again 5", "credited"),
    "4 crediting.release": ("6", "releasable"),
}
#: And for each request to the ledger.
_REQUESTS = {"2 crediting._ask": "4", "3 reverting._post": "9", "4 crediting._ask": "again 4"}
_WORDS = (
    {f"{place} before commit": f"{step} before COMMIT of {word}" for place, (step, word) in _CHANGES.items()}
    | {f"{place} after commit": f"{step} {word}" for place, (step, word) in _CHANGES.items()}
    | {f"{place} before the ledger": f"{step} before it is posted" for place, step in _REQUESTS.items()}
    | {f"{place} after the ledger": f"{step} posted" for place, step in _REQUESTS.items()}
)
#: Balances, omnibus and suspense, transfers, the deposits and what was told of them.
_RIGHT = "[700, 0, 0] [-700, 0] 3 ['releasable'] detected credited reverted detected credited releasable"
#: Of money that is given to a wallet which closes (2), and then to another (3).
_GIVEN = {
    "2 unmatched.assign": ("1", "given to one"),
    "2 unmatched._end": ("2", "refused"),
    "3 unmatched.assign": ("3", "given to another"),
    "3 unmatched._move": ("4", "moved"),
}
_GIVEN_REQUESTS = {"2 unmatched._move": ("2", "refuses"), "3 unmatched._move": ("4", "has posted")}
_GIVEN_WORDS = (
    {f"{place} before commit": f"{step} before COMMIT of {word}" for place, (step, word) in _GIVEN.items()}
    | {f"{place} after commit": f"{step} {word}" for place, (step, word) in _GIVEN.items()}
    | {
        f"{place} before the ledger": f"{step} before the ledger is asked"
        for place, (step, _) in _GIVEN_REQUESTS.items()
    }
    | {f"{place} after the ledger": f"{step} the ledger {does}" for place, (step, does) in _GIVEN_REQUESTS.items()}
)
_RIGHTLY_GIVEN = (
    "[0, 0, 700] [-700, 0] 2 ['credited'] detected credited assign_requested assign_failed assign_requested assigned"
)


def killed(tale: str, database: servers.TestDatabase, folder: Path, *, words: Mapping[str, str], right: str) -> Found:
    """What was found on each chain after each step, in the words of the page."""
    program = [sys.executable, "-m", "tests.integration.custody.killed", tale, database.app_dsn, str(folder)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    names: dict[str, list[str]] = msgspec.json.decode((folder / "names").read_bytes())
    for chain in MODELS:
        assert set(names[chain]) == set(words), chain
    found = msgspec.json.decode((folder / "found").read_bytes())
    assert found["faults"] == []
    left: dict[str, dict[str, str]] = found["left"]
    assert left.pop("none") == dict.fromkeys(MODELS, right)
    assert list(left) == names["bitcoin"]
    outcomes = {
        words[step]: {chain: "once" if text == right else text for chain, text in by_chain.items()}
        for step, by_chain in left.items()
    }
    assert {step: one for step, one in outcomes.items() if set(one.values()) != {"once"}} == {}
    return outcomes


def test_a_deposit_is_credited_and_taken_back_once_whatever_step_is_killed(
    own_database: servers.TestDatabase, tmp_path: Path
) -> None:
    found = killed("deposits", own_database, tmp_path, words=_WORDS, right=_RIGHT)
    kill_tables.check("kills of deposits", found)


def test_what_is_nobodys_is_given_once_whatever_step_is_killed_and_whichever_wallet_closes(
    own_database: servers.TestDatabase, tmp_path: Path
) -> None:
    found = killed("claims", own_database, tmp_path, words=_GIVEN_WORDS, right=_RIGHTLY_GIVEN)
    kill_tables.check("kills of what is given", found)
