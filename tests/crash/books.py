"""What is in the database, in the words of the API: read directly, past all code that could be wrong."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec

from tests.crash.confirming import key_of
from tests.crash.story import cents, instant

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer. A side is a wallet or `outside`, and has an account with a version."""

    id: str
    kind: str
    source: str
    target: str
    cents: int
    reference: str
    effective_at: datetime
    recorded_at: datetime
    debit_account: str
    credit_account: str
    debit_version: int
    credit_version: int
    debit_balance: int
    credit_balance: int

    def check(self, told: dict[str, Any]) -> None:
        """It is what a client was told."""
        assert (told["id"], told["kind"], told["from"], told["to"], cents(told["money"]["amount"])) == (
            self.id,
            self.kind,
            self.source,
            self.target,
            self.cents,
        ), f"{told} but {self}"
        assert (instant(told["effective_at"]), instant(told["recorded_at"]), told["reference"]) == (
            self.effective_at,
            self.recorded_at,
            self.reference,
        ), f"{told} but {self}"
        for side, balance, told_balance in (
            (self.source, self.debit_balance, told.get("from_balance")),
            (self.target, self.credit_balance, told.get("to_balance")),
        ):
            seen = None if told_balance is None else cents(told_balance)
            assert seen == (None if side == "outside" else balance), f"{told} but {self}"


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A hold."""

    id: str
    wallet: str
    cents: int
    settled: int
    status: str
    reference: str
    expires_at: datetime | None
    ended_at: datetime | None


class Books(msgspec.Struct, kw_only=True):
    """All that the audit looks at."""

    posted: dict[str, Posted]
    holds: dict[str, Held]
    #: Transfers by what they settle or reverse, in the order in which they were recorded.
    following: dict[str, list[Posted]]
    #: Each account's wallet, and how many entries it has.
    wallet_of: dict[str, str]
    versions: dict[str, int]
    #: Names by wallet.
    wallets: dict[str, str]
    #: Dead letters: the reason by the sender's key, and their ids.
    dead: dict[str, str]
    dead_ids: set[str]

    @classmethod
    async def read(cls, connection: Connection) -> Books:
        """Everything, at one instant."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            wallet_of = {
                str(row["account"]): row["wallet"]
                for row in await connection.fetch(
                    "SELECT account_id AS account, wallet_id::text AS wallet FROM wallets.accounts "
                    "UNION ALL SELECT external_account, 'outside' FROM ledger.assets"
                )
            }
            posted = await _posted(connection, wallet_of)
            letters = await connection.fetch("SELECT id, content, reason FROM wallets.dead_letters")
            return cls(
                posted=posted,
                holds=await _holds(connection, wallet_of),
                following=await _following(connection, posted),
                wallet_of=wallet_of,
                versions=dict(map(tuple, await connection.fetch("SELECT id::text, version FROM ledger.accounts"))),
                wallets=dict(map(tuple, await connection.fetch("SELECT id::text, name FROM wallets.wallets"))),
                dead={_sent_as(row["content"]): row["reason"] for row in letters},
                dead_ids={str(row["id"]) for row in letters},
            )


async def _posted(connection: Connection, wallet_of: dict[str, str]) -> dict[str, Posted]:
    found = await connection.fetch(
        "SELECT id::text, kind::text, amount::bigint AS cents, reference, effective_at, recorded_at, "
        "debit_account::text, credit_account::text, debit_version, credit_version, "
        "debit_balance::bigint, credit_balance::bigint FROM ledger.transfers"
    )
    return {
        row["id"]: Posted(source=wallet_of[row["debit_account"]], target=wallet_of[row["credit_account"]], **dict(row))
        for row in found
    }


async def _holds(connection: Connection, wallet_of: dict[str, str]) -> dict[str, Held]:
    found = await connection.fetch(
        "SELECT id::text, account_id::text AS account, amount::bigint AS cents, settled::bigint, status::text, "
        "reference, expires_at, ended_at FROM ledger.holds"
    )
    return {row["id"]: Held(wallet=wallet_of[row["account"]], **_without_account(row)) for row in found}


def _without_account(row: asyncpg.Record) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "account"}


async def _following(connection: Connection, posted: dict[str, Posted]) -> dict[str, list[Posted]]:
    found = await connection.fetch(
        "SELECT transfer_id::text, target::text FROM ledger.links WHERE relation IN ('settlement', 'reversal')"
    )
    following: defaultdict[str, list[Posted]] = defaultdict(list)
    for row in found:
        following[row["target"]].append(posted[row["transfer_id"]])
    for transfers in following.values():
        transfers.sort(key=lambda transfer: transfer.recorded_at)
    return following


def _sent_as(content: bytes) -> str:
    sent = msgspec.json.decode(content)
    return key_of(sent["source"], sent["id"])
