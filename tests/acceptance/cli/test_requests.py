"""Money that moves later, at the command line."""

import pytest

from billfold.kernel import ids
from tests.commands import Billfold


@pytest.fixture
def sides(billfold: Billfold) -> Billfold:
    """Somebody with money in one wallet and none in another."""
    for name in ("ada", "bob"):
        billfold("wallets", "create", name.title(), "--external-id", name)
    billfold("wallets", "deposit", "ada", "100", "USD")
    return billfold


def test_a_transfer_is_accepted_and_waited_for(sides: Billfold) -> None:
    assert "--async" in sides("requests", "list").out
    shown = sides("transfers", "create", "30", "USD", "--from", "ada", "--to", "bob", "--async").out
    request = shown.split("billfold requests wait ")[1].split("`")[0]
    assert "Status       accepted" in shown
    done = sides("requests", "wait", request).out
    assert "Status       completed" in done
    found = sides.json("requests", "show", request)
    assert (found["status"], found["money"]["amount"]) == ("completed", "30")
    assert sides.json("transfers", "show", found["transfer_id"])["from_balance"] == "70.00"
    assert [one["id"] for one in sides.json("requests", "list", "--status", "completed")] == [request]
    assert sides.json("requests", "list", "--status", "failed") == []
    assert request in sides("requests", "list").out
    assert "completed" in sides("requests", "cancel", request, code=1).err


def test_deposits_and_withdrawals_are_accepted_in_the_same_way(sides: Billfold) -> None:
    for command, kind in (("deposit", "deposit"), ("withdraw", "withdrawal")):
        shown = sides("wallets", command, "ada", "30", "USD", "--async").out
        request = shown.split("billfold requests wait ")[1].split("`")[0]
        sides("requests", "wait", request)
        found = sides.json("requests", "show", request)
        assert (found["kind"], found["status"], found["money"]["amount"]) == (kind, "completed", "30")
    assert sides.json("balance", "ada")["balances"][0]["posted"] == "100.00"


@pytest.mark.parametrize(
    "command",
    [("wallets", "deposit", "ada"), ("wallets", "withdraw", "ada"), ("transfers", "create")],
    ids=["deposit", "withdrawal", "transfer"],
)
def test_whoever_waits_gets_the_transfer_or_the_refusal(sides: Billfold, command: tuple[str, ...]) -> None:
    sides_of_it = ("--from", "ada", "--to", "bob") if command[0] == "transfers" else ()
    later = (*sides_of_it, "--async", "--wait", "30")
    done = sides.json(*command, "5", "USD", *later)
    assert done["money"] == {"amount": "5.00", "asset": "USD"}
    (request,) = sides.json("requests", "list")
    assert (request["status"], request["transfer_id"]) == ("completed", done["id"])
    if "deposit" not in command:
        refused = sides(*command, "5000", "USD", *later, "--json", code=1).err
        assert "available balance is not enough" in refused
        request = sides.json("requests", "list", "--status", "failed")[0]
        assert f"`billfold requests show {request['id']}` shows the request." in refused


def test_what_is_done_at_once_is_not_waited_for(sides: Billfold) -> None:
    assert "--async has accepted" in sides("wallets", "deposit", "ada", "5", "USD", "--wait", "5", code=2).err
    assert sides.json("balance", "ada")["balances"][0]["posted"] == "100.00"


def test_what_is_refused_is_told_to_who_waits(sides: Billfold) -> None:
    request = sides.json("transfers", "create", "500", "USD", "--from", "ada", "--to", "bob", "--async")["id"]
    waited = sides("requests", "wait", request, code=1)
    assert "Error        insufficient_funds: The available balance is not enough." in waited.out
    assert waited.err == "billfold: The request has failed, so no money was moved.\n"
    assert "insufficient_funds" in sides("requests", "list", "--status", "failed").out
    assert sides("requests", "list", "--status", "expired").out == "None is expired.\n"


def test_the_key_of_an_earlier_try_is_the_same_request(sides: Billfold) -> None:
    transfer = ("transfers", "create", "5", "USD", "--from", "ada", "--to", "bob", "--idempotency-key", "try-1")
    request = sides.json(*transfer, "--async")["id"]
    assert sides.json(*transfer, "--async")["id"] == request
    sides("requests", "wait", request)
    at_once = sides(*transfer)
    assert "This was done by an earlier try; nothing was done again." in at_once.out
    assert sides.json("requests", "show", request)["transfer_id"] in at_once.out
    assert sides.json("balance", "bob")["balances"][0]["posted"] == "5.00"


def test_what_is_not_there_says_where_to_look(billfold: Billfold) -> None:
    refused = billfold("requests", "show", str(ids.new()), code=1)
    assert "`billfold requests list` shows yours." in refused.err
