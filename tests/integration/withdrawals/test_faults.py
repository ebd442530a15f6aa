"""Withdrawals in any order, over a chain that does whatever a chain may: in the end each has arrived once, or never."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from billfold.chains.errors import NodeUnavailable
from billfold.chains.port import Allocation, Payment, Rate, Unsigned
from billfold.custody.errors import CustodyError
from tests.integration.withdrawals.support import ENDED, Office

#: What one run does. Other seeds find more; these are tried at each change.
_STEPS = 60
_SEEDS = (1, 2)
_CUSTOMERS = 3


async def _one(office: Office, chance: random.Random, accounts: list[UUID], asked: list[UUID]) -> None:
    """Something that a customer, a worker, a node or a chain does."""
    chain = office.chain
    act = chance.choice(
        ["ask", "work", "work", "race", "mine", "fault", "fault", "down", "up", "behind", "reorg", "cancel", "bump"]
    )
    if act == "ask":
        account = chance.choice(accounts)
        wanted = await office.request(account, chance.randint(1, 900), f"sim-{len(asked)}")
        asked.append(wanted.withdrawal.id)
    elif act == "work":
        await office.work()
    elif act == "race":
        await asyncio.gather(office.work(), office.work())
    elif act == "mine":
        chain.mine(chance.randint(1, 3))
    elif act == "fault":
        chain.faults.append(chance.choice(["lost", "taken in silence", "refused"]))
    elif act in ("down", "up"):
        chain.is_down = act == "down"
    elif act == "behind":
        chain.behind = chance.choice([0, 0, 1])
    elif act == "reorg":
        chain.mine()
        chain.reorg(1, drop=chance.random() < 0.5)
    elif asked:
        one = chance.choice(asked)
        await (
            office.withdrawals.cancel(withdrawal_id=one) if act == "cancel" else office.bump(one, f"k{chance.random()}")
        )
    await office.watch()


@pytest.mark.parametrize("seed", _SEEDS)
async def test_whatever_chain_and_nodes_do_the_books_agree_and_nothing_arrives_twice(office: Office, seed: int) -> None:
    chance = random.Random(seed)
    await office.endow(100_000)
    accounts: list[UUID] = [await office.customer(50_000, coins=5) for _ in range(_CUSTOMERS)]
    office.chain.mine(3)
    await office.watch()
    asked: list[UUID] = []
    for _ in range(_STEPS):
        try:
            await _one(office, chance, accounts, asked)
        except (CustodyError, NodeUnavailable):
            continue  # It was said why not.
    office.chain.is_down, office.chain.behind, office.chain.faults = False, 0, []
    asked.append((await office.request(accounts[0], 10, "sim-last")).withdrawal.id)
    ended = await office.finish(*asked)
    assert {one.status for one in ended} <= set(ENDED)
    assert ended[-1].status == "settled"
    await office.check_conserved(*ended)
    for account in accounts:
        assert (await office.posted(account))[1] == 0


@pytest.mark.parametrize("chain_name", ["solana"], indirect=True)
async def test_what_nobody_has_thought_of_in_one_does_not_stop_the_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await office.customer(100_000)
    bad, good = [(await office.request(account, amount, f"sim-{amount}")).withdrawal.id for amount in (666, 100)]
    build, settle = office.chain.build, office.ledger.settle_hold

    async def breaks(payments: Sequence[Payment], allocation: Allocation, *, rate: Rate) -> Unsigned:
        if payments[0].amount == 666:
            raise RuntimeError
        return await build(payments, allocation, rate=rate)

    monkeypatch.setattr(office.chain, "build", breaks)
    with capture_logs() as said:
        for _ in range(6):
            await office.work()
            office.chain.mine()
    assert {one["event"] for one in said if one["log_level"] == "error"} == {"a transaction can't be taken further"}
    assert [(await office.look(one)).status for one in (bad, good)] == ["allocated", "settled"]
    monkeypatch.setattr(office.chain, "build", build)

    async def is_broken(**given: Any) -> Any:
        if given["amount"] >= 666:
            raise RuntimeError
        return await settle(**given)

    monkeypatch.setattr(office.ledger, "settle_hold", is_broken)
    more = (await office.request(account, 200, "sim-200")).withdrawal.id
    with capture_logs() as said:
        for _ in range(6):
            await office.work()
            office.chain.mine()
    assert {one["withdrawal"] for one in said if one["log_level"] == "error"} == {str(bad)}
    assert [(await office.look(one)).status for one in (bad, more)] == ["settling", "settled"]
    monkeypatch.setattr(office.ledger, "settle_hold", settle)
    ended = await office.finish(bad, good, more)
    assert {one.status for one in ended} == {"settled"}
    await office.check_conserved(*ended)
