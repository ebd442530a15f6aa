"""Whatever step the reading of a chain is killed at, the next process finishes it: once, and no more.

The steps are not listed: whoever reads commits, and asks the ledger, is seen doing so. What is new there has no words
here, and fails. The table of docs/why/exactly-once.md is what was found.
"""

import subprocess
import sys
from pathlib import Path

import msgspec

from tests import servers
from tests.integration import kill_tables
from tests.integration.withdrawals.simulated import MODELS

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
#: Balance, omnibus, transfers, the deposits and what was told of them.
_RIGHT = "700 -700 3 ['releasable'] detected credited reverted detected credited releasable"


def test_a_deposit_is_credited_and_taken_back_once_whatever_step_is_killed(
    own_database: servers.TestDatabase, tmp_path: Path
) -> None:
    program = [sys.executable, "-m", "tests.integration.custody.killed", own_database.app_dsn, str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    names: dict[str, list[str]] = msgspec.json.decode((tmp_path / "names").read_bytes())
    for chain in MODELS:
        assert set(names[chain]) == set(_WORDS), chain
    found = msgspec.json.decode((tmp_path / "found").read_bytes())
    assert found["faults"] == []
    left: dict[str, dict[str, str]] = found["left"]
    assert left.pop("none") == dict.fromkeys(MODELS, _RIGHT)
    assert list(left) == names["bitcoin"]
    outcomes = {
        _WORDS[step]: {chain: "once" if text == _RIGHT else text for chain, text in by_chain.items()}
        for step, by_chain in left.items()
    }
    assert {step: one for step, one in outcomes.items() if set(one.values()) != {"once"}} == {}
    kill_tables.check("kills of deposits", outcomes)
