"""A bank's year is imported through the whole stack, and every balance of every day is what its rows add up to.

The tutorial is followed word for word: what it shows is compared with what the commands print now.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billfold.app.client import Api
from tests import bank as banks
from tests.bank import Bank
from tests.commands import Billfold
from tests.docs import blocks, shell, stack
from tests.docs.blocks import Fence

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "import-a-bank.md"
DEADLINE_S = 120.0
AT_ONCE = 8
_POLL_S = 0.002
_FLAGS = (
    *("--asset", "CZK", "--id-column", "transaction_id", "--account-column", "account_id", "--date-column", "date"),
    *("--amount-column", "amount_czk", "--direction-column", "direction", "--overdraft", "unlimited"),
)
#: As the tutorial's mapping has them: a repeated row is the same only with all its texts.
_TEXTS = (
    *("--reference-column", "transaction_id", "--description-columns", "operation", "--description-columns", "purpose"),
    *("--metadata-columns", "counterparty_bank", "--metadata-columns", "counterparty_account"),
)
_SCOPES = (
    *("operator", "assets:read", "wallets:read", "wallets:write"),
    *("transfers:read", "transfers:write", "deposits:write", "withdrawals:write", "limits:write"),
)


@pytest.fixture(scope="module")
def tutorial_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A stack of its own, as the tutorial's reader has one."""
    folder = tmp_path_factory.mktemp("tutorial")
    with stack.running(folder) as environment:
        yield environment | {"XDG_STATE_HOME": str(folder / "state")}


def test_the_tutorial_does_what_it_says(bank: Bank, tutorial_stack: dict[str, str], tmp_path: Path) -> None:
    shutil.copy(bank.path, tmp_path / banks.NAME)
    with shell.running(tmp_path, tutorial_stack | {"repository": str(PAGE.parents[2])}) as bash:
        for fence in _fences():
            for command, shown, expected_code in _commands(fence):
                code, said = bash._run(command, python=False)
                assert code == expected_code, f"line {fence.line}: {command}\n{said}"
                # What a made bank shows has other numbers.
                if bank.is_real:
                    assert _timeless(said) == _timeless(shown), f"line {fence.line}: {command}\n{said}"


def test_every_balance_of_every_day_is_the_running_sum(bank: Bank, tutorial_stack: dict[str, str]) -> None:
    found = asyncio.run(_balances(tutorial_stack, list(bank.balances)))
    assert _differences(bank, found) == []


def test_the_books_are_right(bank: Bank, tutorial_stack: dict[str, str]) -> None:
    found = Billfold(tutorial_stack).json("ledger", "verify")
    assert found["faults"] == []
    assert found["transfers"] >= bank.rows


def test_a_repeat_without_its_memory_changes_nothing(bank: Bank, tutorial_stack: dict[str, str]) -> None:
    billfold = Billfold(tutorial_stack)
    before = billfold.json("ledger", "verify")
    shutil.rmtree(tutorial_stack["XDG_STATE_HOME"])
    again = billfold.json("import", "transactions", bank.path, *_FLAGS, *_TEXTS)
    assert again["now"] == {"imported": 0, "replayed": bank.rows, "rejected": 0, "wallets_created": 0}
    assert billfold.json("ledger", "verify") == before


def test_an_import_that_is_killed_again_and_again_counts_each_row_once(
    bank: Bank, billfold_stack: dict[str, str], tmp_path: Path
) -> None:
    environment = billfold_stack | {"XDG_STATE_HOME": str(tmp_path)}
    billfold = Billfold(environment)
    own = ("keys", "create", "Import", "--owner", "A killed bank")
    key = billfold.json(*own, *(flag for scope in _SCOPES for flag in ("--scope", scope)))["key"]
    environment |= {"BILLFOLD_API_KEY": key}

    memory = _killed(bank, environment, at=0.0)
    _killed(bank, environment, at=0.4)
    memory.unlink()  # What rests on the memory would be lost now.
    _killed(bank, environment, at=0.2)
    done = Billfold(environment).json("import", "transactions", bank.path, *_FLAGS)

    counted = sum(done[run][what] for run in ("now", "before") for what in ("imported", "replayed"))
    assert (counted, done["now"]["rejected"]) == (bank.rows, 0)
    # The import's key is an operator's, who sees everybody's wallets.
    reader = billfold.json(*own, "--scope", "wallets:read")["key"]
    found = asyncio.run(_balances(environment | {"BILLFOLD_API_KEY": reader}, list(bank.balances), every=7))
    assert _differences(bank, found, every=7) == []
    assert billfold.json("ledger", "verify")["faults"] == []


def _fences() -> list[Fence]:
    """The examples of the tutorial. They need the bank's file, so they are not run as other pages' are."""
    text = re.sub(r"<!-- bank(.*?) -->", r"<!-- run\1 -->", PAGE.read_text(encoding="utf-8"))
    return [fence for fence in blocks.fences(text) if fence.options is not None]


def _commands(fence: Fence) -> Iterator[tuple[str, str, int]]:
    """Each command with what it shows and its exit code."""
    expected_code = int((fence.options or "exit 0").removeprefix("exit "))
    if fence.language == "bash":
        yield fence.code, "", expected_code
    else:
        for found in blocks._COMMAND.finditer(fence.code):
            yield found["command"], found["output"], expected_code


def _timeless(text: str) -> list[str]:
    """The lines without what differs from run to run: ids, instants of today, durations, and the space around them."""
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "<id>", text)
    text = re.sub(r"20\d\d-\d\d-\d\dT[\d:.]+Z", "<instant>", text)
    text = re.sub(r"\d+\.\d s( \([\d,]+ rows/s\))?", "<duration>", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def _killed(bank: Bank, environment: dict[str, str], *, at: float) -> Path:
    """Kill an import when more than this part of the rows is remembered as done, and return the memory's file."""
    folder = Path(environment["XDG_STATE_HOME"]) / "billfold" / "imports"
    command = [sys.executable, "-m", "billfold.app.cli", "import", "transactions", str(bank.path), *_FLAGS]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + DEADLINE_S
    while _rows_done(folder) <= at * bank.rows:
        assert process.poll() is None, f"it ended by itself: {process.communicate()[0].decode()}"
        assert time.monotonic() < deadline, "it does not get on"
        time.sleep(_POLL_S)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (memory,) = folder.glob("*.json")
    return memory


def _rows_done(folder: Path) -> int:
    for memory in folder.glob("*.json"):
        counts = json.loads(memory.read_bytes())[0]["counts"]
        return int(counts["imported"]) + int(counts["replayed"])
    return 0


async def _balances(environment: dict[str, str], accounts: list[str], *, every: int = 1) -> dict[str, list[Decimal]]:
    """Each account's balance as effective at the end of every such day, over the API."""
    async with Api(url=environment["BILLFOLD_URL"], key=environment["BILLFOLD_API_KEY"]) as api:
        wallets = {
            wallet["external_id"]: wallet["id"] async for wallet in api.pages("/wallets", limit=len(accounts) + 100)
        }
        found: dict[str, list[Decimal]] = {}
        for start in range(0, len(accounts), AT_ONCE):
            some = accounts[start : start + AT_ONCE]
            year = await asyncio.gather(*(_year(api, wallets[account], every) for account in some))
            found |= dict(zip(some, year, strict=True))
        await _check_single_days(api, wallets, found, every)
    return found


async def _year(api: Api, wallet: str, every: int) -> list[Decimal]:
    days = banks.DAYS[::every]
    question = {
        "asset": "CZK",
        "since": f"{days[0]}T23:59:59.999999Z",
        "until": f"{days[-1]}T23:59:59.999999Z",
        "step": f"{every}d",
        "basis": "effective",
    }
    chart: dict[str, Any] = await api.get(f"/wallets/{wallet}/balance/history", question)
    assert [point["at"][:10] for point in chart["points"]] == [day.isoformat() for day in days]
    return [Decimal(point["posted"]) for point in chart["points"]]


async def _check_single_days(api: Api, wallets: dict[str, str], found: dict[str, list[Decimal]], every: int) -> None:
    """A balance that is asked for alone is that of the chart."""
    for number, account in enumerate(list(found)[:50]):
        at = f"{banks.DAYS[number * every]}T23:59:59.999999Z"
        answer = await api.get(f"/wallets/{wallets[account]}/balance", {"asset": "CZK", "effective_at": at})
        assert [Decimal(line["posted"]) for line in answer["balances"]] == [found[account][number]]


def _differences(bank: Bank, found: dict[str, list[Decimal]], *, every: int = 1) -> list[str]:
    """Where the balances are not what the rows add up to."""
    return [
        f"{account} on {day}: {posted} is not {expected}"
        for account, year in bank.balances.items()
        for day, posted, expected in zip(banks.DAYS[::every], found[account], year[::every], strict=True)
        if posted != expected
    ]
