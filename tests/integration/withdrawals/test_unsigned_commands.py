"""`billfold unsigned`, against an API that serves a chain whose keys are elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from billfold.app.cli import exits
from billfold.app.migrate import SETS
from billfold.custody.contracts import Exported
from billfold.kernel import ids
from tests import servers
from tests.commands import Billfold, Result
from tests.integration.api.support import bootstrapped, running_api
from tests.integration.withdrawals.test_outside import STRANGERS, Bank, banking
from tests.servers.devnets import DevnetServer

CHAIN = "ethereum"


class Desk:
    """Where an operator gives commands."""

    def __init__(self, bank: Bank, url: str, key: str, folder: Path) -> None:
        self.bank, self.folder = bank, folder
        self._billfold = Billfold(
            {"BILLFOLD_URL": url, "BILLFOLD_API_KEY": key, "XDG_STATE_HOME": str(folder / "state")}
        )

    async def say(self, *words: str | Path, code: int = exits.OK) -> Result:
        return await asyncio.to_thread(partial(self._billfold, "unsigned", *words, code=code))

    async def json(self, *words: str | Path) -> Any:
        return (await self.say(*words, "--json")).json


@pytest.fixture
async def desk(
    ethereum_server: DevnetServer, postgres_server: servers.PostgresServer, tmp_path: Path
) -> AsyncIterator[Desk]:
    own = postgres_server.create_database(SETS)
    settings = {"urls": ethereum_server.url, "network": "sandbox", "keys": "elsewhere"}
    key = await bootstrapped(own)
    with running_api(own, tmp_path, **{f"{CHAIN}__{name}": value for name, value in settings.items()}) as api:
        async with banking(CHAIN, ethereum_server, own.app_dsn, kind=Bank) as bank:
            yield Desk(bank, api.url, key, tmp_path)


async def test_a_withdrawal_is_listed_handed_out_handed_in_and_sent_and_another_given_up(desk: Desk) -> None:
    bank, to = desk.bank, STRANGERS[CHAIN]()
    assert "Nothing waits for signatures." in (await desk.say("list", CHAIN)).out
    wallet = await bank.rich()
    asked = await bank.withdraw(wallet, bank.unit // 2, to)
    waiting = await bank.waiting()
    (listed,) = await desk.json("list", CHAIN)
    assert (listed["id"], listed["kind"], listed["payments"][0]["address"]) == (str(waiting.id), "pay", to)
    assert f"ETH to {to}" in (await desk.say("list", CHAIN)).out

    file = desk.folder / "unsigned.txt"
    shown = (await desk.say("export", listed["id"], "--file", file)).out
    assert f"ETH to {to}" in shown
    assert "Fee at most" in shown
    exported = await desk.json("export", listed["id"])
    assert exported["unsigned"] == file.read_text().strip()
    assert (await desk.say("export", listed["id"])).out.strip() == exported["unsigned"]

    signed = desk.folder / "signed.txt"
    signed.write_text("0xnothing\n")
    assert "signed_unreadable" in (await desk.say("import", listed["id"], signed, "--json", code=exits.FAILED)).err
    signed.write_text(bank.outsider.sign(msgspec.convert(exported, Exported)) + "\n")
    done = await desk.json("import", listed["id"], signed)
    assert f"It is sent as {done['chain_tx']}." in (await desk.say("import", listed["id"], signed)).out
    ended = await bank.until(asked, "settled", "failed")
    assert (ended.status, ended.chain_tx) == ("settled", done["chain_tx"])
    assert "unsigned_gone" in (await desk.say("export", listed["id"], "--json", code=exits.FAILED)).err

    await bank.withdraw(wallet, bank.unit // 4, to)
    another = str((await bank.waiting()).id)
    assert "--nobody-signs" in (await desk.say("discard", another, code=exits.USAGE)).err
    assert (await desk.json("discard", another, "--nobody-signs"))["id"] == another


async def test_what_is_not_there_is_said_to_be_not_there(desk: Desk) -> None:
    nobody, signed = str(ids.new()), desk.folder / "signed.txt"
    signed.write_text("0x00")
    for words in (("export", nobody), ("import", nobody, signed), ("discard", nobody, "--nobody-signs")):
        assert "unsigned_unknown" in (await desk.say(*words, "--json", code=exits.FAILED)).err
    assert "chain_unknown" in (await desk.say("list", "dogecoin", "--json", code=exits.FAILED)).err
    assert "none" in (await desk.say("import", nobody, desk.folder / "none", code=exits.USAGE)).err
