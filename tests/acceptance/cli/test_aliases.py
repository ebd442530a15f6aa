"""Aliases at the command line: taking one, and paying to one after a look at whose it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from billfold.kernel import ids
from tests.acceptance.cli.test_terminal import DEADLINE_S, at_a_terminal
from tests.commands import Billfold


def handle() -> str:
    """One that no other test has, nor one that looks like it."""
    return "@t" + ids.new().hex[-12:].translate(str.maketrans("0123456789", "ghjknpqrst"))


@pytest.fixture
def ada(owner: Callable[..., Billfold]) -> Billfold:
    ada = owner()
    ada("wallets", "create", "Ada", "--external-id", "ada")
    ada("wallets", "deposit", "ada", "10.00", "USD")
    return ada


@pytest.fixture
def bob(owner: Callable[..., Billfold]) -> Billfold:
    bob = owner()
    bob("wallets", "create", "Bob", "--external-id", "bob")
    return bob


def test_an_alias_is_taken_shown_led_elsewhere_and_released(bob: Billfold) -> None:
    alias = handle()
    assert "No aliases yet" in bob("aliases", "list").out
    assert bob("aliases", "add", alias).out == f"{alias} is yours.\n"
    assert alias in bob("aliases", "list").out
    assert "your oldest open one" in bob("aliases", "show", alias).out
    chosen = bob.json("aliases", "set-wallet", alias, "bob", "--asset", "btc")
    assert list(chosen["by_asset"]) == ["BTC"]
    assert bob.json("aliases", "show", alias)["by_asset"] == chosen["by_asset"]
    assert bob.json("aliases", "set-wallet", alias, "--asset", "BTC")["by_asset"] == {}
    assert bob.json("aliases", "set-visibility", alias, "masked")["visibility"] == "masked"
    refused = bob("aliases", "release", alias, code=1)
    assert "add --yes" in refused.err
    assert "nobody but you can take it again" in bob("aliases", "release", alias, "--yes").out
    assert "There is no such alias" in bob("aliases", "show", alias, code=1).err


def test_whose_an_alias_is_is_shown_before_money_goes(
    ada: Billfold, bob: Billfold, billfold_stack: dict[str, str]
) -> None:
    alias = handle()
    bob("aliases", "add", alias)
    payee = ada.json("aliases", "show", alias)["payee"]
    pay = ("transfers", "create", "1.00", "USD", "--from", "ada", "--to", alias)
    refused = ada(*pay, code=1)
    assert f"Send 1.00 USD to {payee} ({alias})?" in refused.err
    assert "add --yes" in refused.err
    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        with at_a_terminal({**billfold_stack, **ada.environment}, *pay) as terminal:
            terminal.until(f"Send 1.00 USD to {payee} ({alias})?")
            terminal.types(answer)
            assert terminal.process.wait(DEADLINE_S) == code
    assert ada.json("balance", "ada")["balances"][0]["posted"] == "9.00"
    sent = ada(*pay, "--yes", "--json")
    assert payee in sent.err
    assert sent.json["money"]["amount"] == "1.00"
    assert ada.json("balance", "ada")["balances"][0]["posted"] == "8.00"


def test_money_goes_to_and_from_ones_own_alias_without_a_question(ada: Billfold, bob: Billfold) -> None:
    alias = handle()
    ada("aliases", "add", alias)
    ada("wallets", "deposit", alias, "1.00", "USD")
    ada("wallets", "withdraw", alias, "2.00", "USD")
    bob_wallet = bob.json("wallets", "show", "bob")["id"]
    ada("transfers", "create", "1.00", "USD", "--from", alias, "--to", bob_wallet)
    assert ada.json("balance", "ada")["balances"][0]["posted"] == "8.00"


def test_a_name_with_a_colon_is_ones_own_external_id_first(ada: Billfold, bob: Billfold) -> None:
    name = f"customer:{ids.new().hex}"
    bob("aliases", "add", name)
    assert ada.json("transfers", "create", "1.00", "USD", "--from", "ada", "--to", name, "--yes")["kind"] == "transfer"
    mine = ada.json("wallets", "create", "Mine", "--external-id", name)["id"]
    assert ada.json("transfers", "create", "1.00", "USD", "--from", "ada", "--to", name)["to"] == mine


def test_a_hold_is_settled_to_an_alias(ada: Billfold, bob: Billfold) -> None:
    alias = handle()
    bob("aliases", "add", alias)
    hold = ada.json("holds", "place", "ada", "1.00", "USD")["id"]
    assert "add --yes" in ada("holds", "settle", hold, "--to", alias, code=1).err
    assert ada.json("holds", "settle", hold, "--to", alias, "--yes")["transfer"]["money"]["amount"] == "1.00"


def test_somebody_is_asked_for_money_and_pays_once(ada: Billfold, bob: Billfold) -> None:
    alias = handle()
    ada("aliases", "add", alias)
    ask = ("payment-requests", "create", "2.00", "USD", "--from", alias, "--to", "bob", "--reference", "coffee")
    request = bob.json(*ask)["id"]
    assert "coffee" in ada("payment-requests", "list").out
    assert "Pay 2.00 USD to owner" in ada("payment-requests", "pay", request, "--from", "ada", code=1).err
    paid = ada.json("payment-requests", "pay", request, "--from", "ada", "--yes")
    assert ada.json("payment-requests", "pay", request, "--from", "ada", "--yes") == paid
    assert ada.json("balance", "ada")["balances"][0]["posted"] == "8.00"
    assert "paid" in bob("payment-requests", "list", "--outgoing", "--all").out
    declined = bob.json(*ask)["id"]
    assert ada.json("payment-requests", "decline", declined)["status"] == "declined"
    assert "has been paid, declined or cancelled" in bob("payment-requests", "cancel", declined, code=1).err
