"""A deposit of nobody's that an operator gives to a wallet: what becomes of their word, and who is told."""

from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID

import msgspec
import pytest

from billfold.custody.store import refunds, unmatched
from billfold.kernel import origin
from billfold.kernel.origin import Origin
from billfold.kernel.principal import Principal
from billfold.ledger.contracts import Posting
from billfold.ledger.errors import AccountClosed
from billfold.platform.postgres.database import DatabaseUnavailable
from billfold.wallets.errors import WalletClosed
from tests.integration.custody.support import Bank


async def nobodys(bank: Bank, owner: Principal) -> UUID:
    """A deposit that was meant for a wallet that has closed."""
    await bank.keep_unmatched(owner)
    async with bank.database.connection() as connection:
        found: UUID = await connection.fetchval("SELECT id FROM custody.deposits WHERE kind = 'unmatched'")
    return found


async def test_what_is_given_to_a_wallet_that_closes_before_it_is_moved_can_be_given_to_another(
    bank: Bank, ada: Principal, operator: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, _), (second, _) = await bank.wallet(ada), await bank.wallet(ada)
    deposit = await nobodys(bank, ada)

    async def give(wallet: UUID) -> UUID | None:
        given = await bank.wallets.on_chains.assign(
            principal=operator, deposit_id=deposit, wallet_id=wallet, reason="ticket 1"
        )
        return given.wallet_id

    with monkeypatch.context() as away:
        away.setattr(bank.ledger, "post", AsyncMock(side_effect=DatabaseUnavailable))
        with pytest.raises(DatabaseUnavailable):
            await give(first)
    await bank.wallets.registry.close(principal=ada, wallet_id=first)
    async with bank.database.connection() as connection:
        ((row, claim),) = await unmatched.open_(connection, "bitcoin", limit=9)
    await bank.read()

    async with bank.database.connection() as connection:
        assert not await refunds.is_claimed(connection, deposit)
        ended = await connection.fetch(
            "SELECT wallet_id, claimed_by, reason, transfer_id, why FROM custody.ended_claims"
        )
    assert [tuple(one) for one in ended] == [(first, operator.owner_id, "ticket 1", None, "account_closed")]
    assert [one.id for one in (await bank.wallets.on_chains.unmatched(principal=operator)).items] == [deposit]
    with monkeypatch.context() as away:
        away.setattr(bank.ledger, "post", AsyncMock(side_effect=DatabaseUnavailable))
        with pytest.raises(DatabaseUnavailable):
            await give(second)
    # Somebody who has stood still since before is refused again, and disturbs nobody.
    with pytest.raises(AccountClosed):
        await bank.custody.unmatched._move(row, claim)
    await bank.read()
    assert (await give(second), await bank.balance(second), await bank.held("suspense")) == (second, 700, 0)
    assert (await bank.told())[2:] == ["assign_requested", "assign_failed", "assign_requested", "assigned"]
    assert (await bank.ledger.verify()).faults == []


async def test_who_gives_it_to_a_wallet_that_closes_at_that_moment_is_told_so(
    bank: Bank, ada: Principal, operator: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, _), (second, _) = await bank.wallet(ada), await bank.wallet(ada)
    deposit = await nobodys(bank, ada)
    post = bank.ledger.post

    async def closes_before(**given: Any) -> Posting:
        await bank.wallets.registry.close(principal=ada, wallet_id=first)
        return await post(**given)

    with monkeypatch.context() as closing:
        closing.setattr(bank.ledger, "post", closes_before)
        with pytest.raises(WalletClosed):
            await bank.wallets.on_chains.assign(
                principal=operator, deposit_id=deposit, wallet_id=first, reason="ticket 1"
            )
    given = await bank.wallets.on_chains.assign(
        principal=operator, deposit_id=deposit, wallet_id=second, reason="ticket 2"
    )
    assert (given.wallet_id, await bank.balance(second), await bank.held("suspense")) == (second, 700, 0)


async def test_the_audit_keeps_who_has_given_which_deposit_to_whom(
    bank: Bank, ada: Principal, operator: Principal
) -> None:
    wallet, _ = await bank.wallet(ada)
    deposit = await nobodys(bank, ada)
    origin.begin(Origin(channel="cli", address="ada@laptop"))
    try:
        for _ in range(2):
            await bank.wallets.on_chains.assign(
                principal=operator, deposit_id=deposit, wallet_id=wallet, reason="ticket 1"
            )
    finally:
        origin.begin(None)

    async with bank.database.connection() as connection:
        rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'audit' ORDER BY seq")
    facts = [fact for row in rows for fact in msgspec.json.decode(row["payload"])["data"]["facts"]]
    kept = [fact for fact in facts if fact["type"].startswith("deposit.assign")]
    assert [one["type"] for one in kept] == ["deposit.assign_requested.v1", "deposit.assigned.v1"]
    assert {(one["subject"], one["origin"]["address"]) for one in kept} == {(str(deposit), "ada@laptop")}
    word = {"wallet_id": str(wallet), "asked_by": str(operator.owner_id), "reason": "ticket 1", "why": None}
    assert [one["data"]["assignment"] for one in kept] == [word, word]
    assert [one["data"]["wallet_id"] for one in kept] == [None, str(wallet)]
