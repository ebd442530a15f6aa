"""The local Stellar: what it keeps over a kill, what its faucet pays, and what it can't do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from stellar_sdk import (
    Account,
    Asset,
    ChangeTrust,
    Keypair,
    MuxedAccount,
    Payment,
    Preconditions,
    TimeBounds,
    Transaction,
    TransactionEnvelope,
)
from stellar_sdk.operation import Operation

from billfold.chains.stellar.networks import PASSPHRASES
from tests.servers.devnets import DevnetServer, running_devnet

PASSPHRASE = PASSPHRASES["sandbox"]


def got(server: DevnetServer, path: str) -> dict[str, Any]:
    found: dict[str, Any] = server._client.get(f"{server.url}{path}").json()
    return found


def handed_in(server: DevnetServer, pair: Keypair, *operations: Operation, ahead: int = 1) -> str:
    """The hash of a transaction that waits for a ledger."""
    number = int(got(server, f"/accounts/{pair.public_key}")["sequence"]) + ahead
    conditions = Preconditions(time_bounds=TimeBounds(0, 0))
    source = Account(pair.public_key, number).account
    envelope = TransactionEnvelope(Transaction(source, number, 500, operations, None, conditions), PASSPHRASE)
    envelope.sign(pair)
    answer = server._client.post(f"{server.url}/transactions_async", data={"tx": envelope.to_xdr()})
    assert answer.status_code == 201, answer.text
    return envelope.hash_hex()


def opened(server: DevnetServer) -> Keypair:
    pair = Keypair.random()
    server.faucet(pair.public_key, "100")
    server.mine()
    return pair


def test_everything_that_was_answered_for_is_there_after_a_kill(tmp_path: Path) -> None:
    with running_devnet("stellar", tmp_path) as server:
        pair = opened(server)
        paid = handed_in(server, pair, Payment(pair.public_key, Asset.native(), "1"))
        server.mine(3)
        waiting = handed_in(server, pair, Payment(pair.public_key, Asset.native(), "2"))
        silent = server.faucet(pair.public_key, "5")
        before = [got(server, f"/ledgers/{number}") for number in range(1, server.status["height"] + 1)]
        account, transaction = got(server, f"/accounts/{pair.public_key}"), got(server, f"/transactions/{paid}")
        server.kill()
        # What was being written when the process ended.
        with (server.folder / "journal").open("ab") as journal:
            journal.write(b'{"type":"closed","at":17')
        server.start()
        assert [got(server, f"/ledgers/{number}") for number in range(1, len(before) + 1)] == before
        assert got(server, f"/accounts/{pair.public_key}") == account
        assert got(server, f"/transactions/{paid}") == transaction
        server.mine()
        assert got(server, f"/transactions/{waiting}")["successful"]
        assert got(server, f"/transactions/{silent}")["successful"]


def test_the_faucet_opens_accounts_and_pays_many_at_once(stellar_server: DevnetServer) -> None:
    pair = Keypair.random()
    muxed = MuxedAccount(pair.public_key, 9).account_muxed
    assert muxed is not None
    first = stellar_server.faucet(pair.public_key, "2.5", memo="text:hello")
    stellar_server.faucet(pair.public_key, "0.0000001", memo="id:7")
    stellar_server.faucet(muxed, "1")
    height = stellar_server.mine()["height"]
    assert got(stellar_server, f"/transactions/{first}")["memo"] == "hello"
    page = got(stellar_server, f"/ledgers/{height}/payments?join=transactions")
    found = [one for one in page["_embedded"]["records"] if pair.public_key in {one.get("account"), one.get("to")}]
    assert [(one["type"], one["transaction"].get("memo"), one.get("to_muxed_id")) for one in found] == [
        ("create_account", "hello", None),
        ("payment", "7", None),
        ("payment", None, "9"),
    ]


def test_the_faucet_pays_the_test_asset_to_whoever_trusts_it(stellar_server: DevnetServer) -> None:
    pair = opened(stellar_server)
    [token] = got(stellar_server, "/devnet/tokens")["tokens"]
    code, _, issuer = token.partition(":")
    handed_in(stellar_server, pair, ChangeTrust(Asset(code, issuer)))
    stellar_server.mine()
    stellar_server.faucet(pair.public_key, "12", token=token)
    stellar_server.mine()
    balances = got(stellar_server, f"/accounts/{pair.public_key}")["balances"]
    assert [one["balance"] for one in balances if one.get("asset_code") == code] == ["12.0000000"]


@pytest.mark.parametrize(
    "told",
    [
        {"address": "G", "amount": "1"},
        {"address": Keypair.random().public_key, "amount": "0"},
        {"address": Keypair.random().public_key, "amount": "1.00000001"},
        {"address": Keypair.random().public_key, "amount": "-1"},
        {"address": Keypair.random().public_key, "amount": "1", "token": "USDC:nobody"},
        {"address": Keypair.random().public_key, "amount": "1", "memo": "hash:00"},
    ],
)
def test_the_faucet_says_what_it_can_not_pay(stellar_server: DevnetServer, told: dict[str, str]) -> None:
    with pytest.raises(httpx2.HTTPStatusError) as refused:
        stellar_server.control("faucet", **told)
    assert refused.value.response.status_code == 400
    assert refused.value.response.json()["error"]


def test_a_ledger_that_is_closed_stays(stellar_server: DevnetServer) -> None:
    with pytest.raises(httpx2.HTTPStatusError) as refused:
        stellar_server.reorg(1)
    assert refused.value.response.status_code == 409
    assert refused.value.response.json() == {"error": "this chain is final"}


def test_one_account_has_one_transaction_waiting(stellar_server: DevnetServer) -> None:
    pair = opened(stellar_server)
    handed_in(stellar_server, pair, Payment(pair.public_key, Asset.native(), "1"))
    with pytest.raises(AssertionError, match="TRY_AGAIN_LATER"):
        handed_in(stellar_server, pair, Payment(pair.public_key, Asset.native(), "1"), ahead=2)


#: The account of the key that is all zeros.
NOBODY = "GAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAWHF"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/accounts/G", 400),
        (f"/accounts/{NOBODY}", 404),
        ("/transactions/00", 404),
        ("/ledgers/99999999999999", 404),
        ("/ledgers/x", 404),
        ("/ledgers?limit=201", 400),
        ("/ledgers?cursor=-1", 400),
        ("/ledgers?order=up", 400),
        ("/paths/strict-send?source_asset_type=native&source_amount=x", 400),
    ],
)
def test_what_is_asked_wrongly_is_a_problem_in_horizons_form(
    stellar_server: DevnetServer, path: str, status: int
) -> None:
    answer = stellar_server._client.get(f"{stellar_server.url}{path}")
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["status"] == status


@pytest.mark.parametrize("text", ["", "AAAA", "%%%", "A" * 200_000])
def test_what_is_no_envelope_is_malformed(stellar_server: DevnetServer, text: str) -> None:
    answer = stellar_server._client.post(f"{stellar_server.url}/transactions", data={"tx": text})
    assert (answer.status_code, answer.json()["title"]) == (400, "Transaction Malformed")
