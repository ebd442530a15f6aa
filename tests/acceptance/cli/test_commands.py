"""The commands for wallets and money, told as their users meet them."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import Billfold


def _with_money(billfold: Billfold, name: str = "ada", amount: str = "100") -> str:
    """A wallet of that external_id with so many dollars, by its id."""
    wallet: str = billfold.json("wallets", "create", name.title(), "--external-id", name)["id"]
    if amount != "0":
        billfold("wallets", "deposit", wallet, amount, "USD")
    return wallet


def test_what_is_empty_says_how_it_is_filled(billfold: Billfold) -> None:
    assert billfold("wallets", "list").out == "No wallets yet. Create one: billfold wallets create NAME\n"
    assert "billfold wallets deposit" in billfold("transfers", "list").out
    assert "billfold holds place" in billfold("holds", "list").out
    assert billfold.json("wallets", "list") == []
    billfold("wallets", "create", "Ada", "--external-id", "ada")
    assert "billfold wallets deposit ada AMOUNT ASSET" in billfold("balance", "ada").out


def test_a_filter_that_nothing_fits_is_not_taken_for_an_empty_wallet(billfold: Billfold) -> None:
    _with_money(billfold)
    for wanted in (("--reference", "zzz"), ("--since", "2199-01-01"), ("--wallet", "ada", "--kind", "fee")):
        assert billfold("transfers", "list", *wanted).out.startswith("No transfer is like that.")
    assert billfold("holds", "list", "--status", "settled").out.startswith("No hold is like that.")


def test_a_list_that_is_not_all_says_so(billfold: Billfold) -> None:
    for name in ("ada", "bob", "eve"):
        _with_money(billfold, name, "5")
    for command in (("wallets", "list"), ("transfers", "list"), ("transfers", "list", "--json")):
        assert billfold(*command, "--limit", "2").err == "billfold: There are more than these 2; --limit shows more.\n"
        assert billfold(*command, "--limit", "3").err == ""
    assert len(billfold.json("wallets", "list", "--limit", "2")) == 2


def test_a_wallet_is_created_once_by_its_external_id_and_named_by_it(billfold: Billfold) -> None:
    created = billfold.json("wallets", "create", "Ada", "--external-id", "ada", "--metadata", "tier=gold")
    again = billfold("wallets", "create", "Ada", "--external-id", "ada", "--metadata", "tier=gold")
    assert "This wallet exists already." in again.out
    assert created["metadata"] == {"tier": "gold"}
    assert billfold.json("wallets", "show", "ada") == billfold.json("wallets", "show", created["id"]) == created
    assert [wallet["id"] for wallet in billfold.json("wallets", "list")] == [created["id"]]
    listed = billfold("wallets", "list").out
    assert created["id"] in listed
    assert "ada" in listed


def test_a_wallet_is_renamed_frozen_unfrozen_and_closed(billfold: Billfold, owner: Callable[..., Billfold]) -> None:
    wallet = _with_money(billfold, amount="0")
    assert billfold.json("wallets", "rename", "ada", "Ada's savings")["name"] == "Ada's savings"
    assert billfold.json("wallets", "freeze", "ada")["status"] == "frozen"
    refused = billfold("wallets", "deposit", "ada", "1", "USD", code=1)
    assert "frozen" in refused.err
    assert billfold("wallets", "unfreeze", "ada", code=1).err.startswith("billfold: ")
    operator = owner("operator", "wallets:read", "wallets:write")
    assert operator.json("wallets", "unfreeze", wallet)["status"] == "open"
    assert billfold.json("wallets", "close", "ada")["status"] == "closed"
    assert [found["status"] for found in billfold.json("wallets", "list", "--status", "closed")] == ["closed"]
    assert billfold("wallets", "list", "--status", "frozen").out == "None is frozen.\n"


def test_money_comes_in_moves_and_goes_out(billfold: Billfold) -> None:
    _with_money(billfold)
    _with_money(billfold, "bob", "0")
    moved = billfold.json(
        "transfers",
        "create",
        "30.50",
        "USD",
        "--from",
        "ada",
        "--to",
        "bob",
        "--reference",
        "rent",
        "--metadata",
        "a=b",
    )
    assert (moved["from_balance"], moved["to_balance"]) == ("69.50", "30.50")
    assert (moved["reference"], moved["metadata"]) == ("rent", {"a": "b"})
    assert billfold.json("transfers", "show", moved["id"])["money"] == {"amount": "30.50", "asset": "USD"}
    billfold("wallets", "withdraw", "bob", "0.50", "USD")
    back = billfold.json("transfers", "reverse", moved["id"], "--amount", "10")
    assert (back["kind"], back["money"]["amount"]) == ("reversal", "10.00")
    (line,) = billfold.json("balance", "bob")["balances"]
    assert (line["posted"], line["available"]) == ("20.00", "20.00")
    kinds = [found["kind"] for found in billfold.json("transfers", "list", "--wallet", "bob")]
    assert kinds == ["reversal", "withdrawal", "transfer"]
    assert len(billfold.json("transfers", "list", "--limit", "2")) == 2
    rent = billfold.json("transfers", "list", "--reference", "rent", "--wallet", "ada", "--direction", "out")
    assert [found["id"] for found in rent] == [moved["id"]]
    shown = billfold("transfers", "list", "--wallet", "bob").out
    assert "-10.00" in shown
    assert "rent" in shown


def test_a_command_with_the_key_of_an_earlier_try_does_nothing_again(billfold: Billfold) -> None:
    _with_money(billfold, amount="0")
    first = billfold.json("wallets", "deposit", "ada", "5", "USD", "--idempotency-key", "try-1")
    again = billfold("wallets", "deposit", "ada", "5", "USD", "--idempotency-key", "try-1")
    assert "This was done by an earlier try; nothing was done again." in again.out
    assert "(then 5.00 USD)" in again.out
    assert first["id"] in again.out
    assert billfold.json("balance", "ada")["balances"][0]["posted"] == "5.00"


def test_money_is_held_settled_and_released(billfold: Billfold) -> None:
    _with_money(billfold)
    _with_money(billfold, "bob", "0")
    hold = billfold.json("holds", "place", "ada", "40", "USD", "--reference", "hotel", "--expires-at", "2199-01-01")
    assert billfold.json("balance", "ada")["balances"][0]["available"] == "60.00"
    settled = billfold.json("holds", "settle", hold["id"], "--to", "bob", "--amount", "15")
    assert (settled["hold"]["remaining"], settled["transfer"]["money"]["amount"]) == ("25.00", "15.00")
    released = billfold("holds", "release", hold["id"])
    assert "Status" in released.out
    assert billfold.json("balance", "ada")["balances"][0]["available"] == "85.00"
    other = billfold.json("holds", "place", "ada", "5", "USD")["id"]
    assert "Transfer" in billfold("holds", "settle", other, "--to", "outside").out
    assert [found["status"] for found in billfold.json("holds", "list", "--wallet", "ada")] == ["settled", "released"]
    assert [found["id"] for found in billfold.json("holds", "list", "--status", "released")] == [hold["id"]]
    assert "hotel" in released.out


def test_a_balance_of_the_past_is_as_recorded_or_as_effective(billfold: Billfold) -> None:
    _with_money(billfold, amount="0")
    late = billfold.json("wallets", "deposit", "ada", "7", "USD", "--effective-at", "2020-02-03")
    then = ("balance", "ada", "--asset", "USD")
    assert billfold.json(*then, "--effective-at", "2020-02-03")["balances"] == [{"asset": "USD", "posted": "7.00"}]
    assert billfold.json(*then, "--at", "2020-02-03")["balances"] == [{"asset": "USD", "posted": "0.00"}]
    assert billfold.json(*then, "--at", late["recorded_at"])["balances"] == [{"asset": "USD", "posted": "7.00"}]
    assert "7.00" in billfold(*then, "--effective-at", "2021-01-01").out
    assert "credit limit" not in billfold(*then, "--effective-at", "2021-01-01").out
    assert "credit limit" in billfold(*then).out


def test_a_statement_goes_to_the_terminal_or_whole_into_a_file(billfold: Billfold, in_folder: Path) -> None:
    _with_money(billfold)
    billfold("wallets", "withdraw", "ada", "1", "USD")
    lines = list(csv.DictReader(billfold("statement", "ada").out.splitlines()))
    assert [line["kind"] for line in lines] == ["opening_balance", "deposit", "withdrawal", "closing_balance"]
    assert lines[-1]["balance"] == "99.00"
    assert billfold.json("statement", "ada")["closing_balance"] == "99.00"
    said = billfold("statement", "ada", "-o", "ada.csv")
    assert said.out == ""
    assert "ada.csv" in said.err
    written = list(csv.DictReader((in_folder / "ada.csv").read_text().splitlines()))
    assert [line["kind"] for line in written] == [line["kind"] for line in lines]
    assert [path.name for path in in_folder.iterdir()] == ["ada.csv"]
    assert "is there already" in billfold("statement", "ada", "-o", "ada.csv", "--asset", "USD", code=1).err
    assert list(csv.DictReader((in_folder / "ada.csv").read_text().splitlines())) == written
    assert "No such file" in billfold("statement", "ada", "-o", "absent/ada.csv", code=1).err
    assert billfold.json("statement", "ada", "--until", "2020-01-01")["transactions"] == []


def test_a_refused_statement_leaves_no_file(billfold: Billfold, in_folder: Path) -> None:
    billfold("wallets", "create", "Ada", "--external-id", "ada")
    billfold("statement", "ada", "--asset", "XXX", "-o", "ada.csv", code=1)
    assert list(in_folder.iterdir()) == []


def test_assets_are_listed_and_added_by_operators(billfold: Billfold, owner: Callable[..., Billfold]) -> None:
    listed = {asset["code"]: asset for asset in billfold.json("assets", "list")}
    assert listed["USD"]["scale"] == 2
    assert "Bitcoin" in billfold("assets", "list").out
    assert billfold("assets", "add", "MILES", "Air miles", "--scale", "0", code=1).err.startswith("billfold: ")
    operator = owner("operator", "assets:write", "wallets:read", "assets:read")
    assert "MILES" in operator("assets", "add", "MILES", "Air miles", "--scale", "0").out
    assert operator.json("assets", "add", "MILES", "Air miles", "--scale", "0")["scale"] == 0
    assert "asset can't be changed" in operator("assets", "add", "MILES", "Air miles", "--scale", "2", code=1).err


def test_keys_are_created_listed_and_revoked(billfold: Billfold, billfold_stack: dict[str, str]) -> None:
    created = billfold.json("keys", "create", "Till", "--scope", "wallets:read", "--expires-at", "2199-01-01")
    till = Billfold(billfold_stack | {"BILLFOLD_API_KEY": created["key"]})
    assert till.json("wallets", "list") == []
    refused = till("wallets", "create", "Ada", code=1)
    assert "wallets:write" in refused.err
    assert "`billfold keys list`" in refused.err
    listed = billfold("keys", "list").out
    assert "until 2199-01-01T00:00:00" in listed
    assert created["key"] not in listed
    assert "is revoked" in billfold("keys", "revoke", created["id"]).out
    assert [key["name"] for key in billfold.json("keys", "list")] == ["Till", "Test"]
    assert "revoked" in billfold("keys", "list").out


def test_a_new_key_is_shown_once(billfold: Billfold) -> None:
    shown = billfold("keys", "create", "Till", "--scope", "wallets:read", "--idempotency-key", "k").out
    assert "bf_live_" in shown
    assert "it is not shown again" in shown
    again = billfold("keys", "create", "Till", "--scope", "wallets:read", "--idempotency-key", "k").out
    assert "bf_live_" not in again


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("transfers", "create", "1000", "USD", "--from", "ada", "--to", "bob"), 1, "`billfold balance`"),
        (("wallets", "deposit", "ada", "1.234", "USD"), 1, "2 decimals; 3 were given."),
        (("wallets", "deposit", "ada", "1", "XXX"), 1, "There is no asset 'XXX'. `billfold assets list`"),
        (("wallets", "deposit", "ada", "-5", "USD"), 2, "An amount is positive"),
        (("statement", "bob"), 1, "Say which asset; nothing has been in this wallet yet. --asset names one."),
        (
            ("holds", "place", "ada", "1", "USD", "--expires-at", "tomorrow"),
            1,
            "no date, nor an instant",
        ),
        (("events", "tail", "--type", "transfers.posted"), 2, "the nearest is transfer.posted.v1"),
        (("events", "tail", "--type", "x"), 2, "there are transfer.posted.v1, hold.placed.v1,"),
        (("transfers", "create", "-0.5", "USD", "--from", "ada", "--to", "bob"), 2, "An amount is positive"),
        (("wallets", "deposit", "ada", "5", "USD", "--refrence", "x"), 2, "--reference"),
        (("wallets", "show", "nobody"), 1, "'nobody'; `billfold wallets list` shows all."),
        (("wallets", "show", "019aa2c6-7a00-7000-8000-00000000a001"), 1, "`billfold wallets list`"),
        (("wallets", "deposit", "ada", "1", "USD", "--metadata", "x"), 2, "not NAME=TEXT"),
        (("wallets", "deposit", "ada", "1"), 2, "ASSET"),
        (("wallets", "lst"), 2, "list"),
        (("up", "--profile", "huge"), 2, "'--profile': 'huge' is not one of 'minimal', 'full'."),
        (("serve", "clerk"), 2, ": 'clerk' is not one of 'api', 'worker',"),
        (("holds", "list", "--status", "lost"), 2, "'--status': 'lost' is not one of"),
        (("walets",), 2, "Did you mean 'wallets'?"),
        (("keys", "create", "Till"), 2, "--scope wallets:read"),
        (("keys", "create", "Till", "--owner", "x", "--scope", "all"), 2, "There is no scope 'all'"),
        (("keys", "create", "Till", "--scope", "wallets:reed"), 2, "no scope 'wallets:reed'; there are wallets:read,"),
        (("wallets", "list", "--url", "127.0.0.1:1"), 2, "such as http://127.0.0.1:8080"),
        (("wallets", "list", "--url", "http://127.0.0.1:1"), 3, "your stack is at http://127.0.0.1:"),
        (("wallets", "list", "--api-key", "nonsense"), 1, "--api-key or $BILLFOLD_API_KEY"),
    ],
)
def test_what_goes_wrong_is_one_sentence_with_the_next_step(
    billfold: Billfold, arguments: tuple[str, ...], code: int, said: str
) -> None:
    for name in ("ada", "bob"):
        billfold("wallets", "create", name, "--external-id", name)
    found = billfold(*arguments, code=code)
    assert said in found.err
    assert "Traceback" not in found.err
    assert found.out == ""


def test_an_asset_may_be_typed_in_small_letters(billfold: Billfold) -> None:
    billfold("wallets", "create", "Ada", "--external-id", "ada")
    assert "5.00 USD" in billfold("wallets", "deposit", "ada", "5", "usd").out
    assert billfold.json("balance", "ada", "--asset", "usd")["balances"][0]["posted"] == "5.00"


def test_a_refusal_can_be_read_by_programs(billfold: Billfold) -> None:
    billfold("wallets", "create", "Ada", "--external-id", "ada")
    found = billfold("wallets", "withdraw", "ada", "1", "USD", "--json", code=1)
    assert '"code":"insufficient_funds"' in found.err
    assert found.out == ""


def test_without_settings_the_stack_of_the_data_folder_is_meant(billfold_stack: dict[str, str], tmp_path: Path) -> None:
    data = {"BILLFOLD_DATA": billfold_stack["BILLFOLD_DATA"]}
    assert "sandbox-ada" in Billfold(data)("wallets", "show", "sandbox-ada").out
    none = Billfold({"BILLFOLD_DATA": str(tmp_path)})("wallets", "list", code=3)
    assert "`billfold up`" in none.err
    assert "--url" in none.err
    assert "BILLFOLD_POSTGRES__DSN" in Billfold({"BILLFOLD_DATA": str(tmp_path)})("ledger", "verify", code=3).err


def test_the_tour_plays_to_its_end_again_and_again(billfold: Billfold) -> None:
    shown = billfold("tour", "--fast").out
    assert "→ 422" in shown
    assert "Idempotency-Replayed: true" in shown
    assert 'curl -sS "$BILLFOLD_URL/api/v1/transfers"' in shown
    assert "What to try next" in shown
    calls = billfold.json("tour")
    assert [call["status"] for call in calls] == [201, 201, 201, 201, 201, 422, 201, 200, 200, 200, 200, 200]
    assert calls[-1]["answer"]["closing_balance"] == "55.00"
    assert calls[-2]["answer"]["balances"] == [{"asset": "USD", "posted": "100.00"}]


def test_the_books_of_the_stack_are_right_and_its_database_is_up_to_date(billfold: Billfold) -> None:
    _with_money(billfold)
    assert "The books are right." in billfold("ledger", "verify").out
    assert billfold.json("ledger", "verify")["faults"] == []
    assert billfold("migrate", "--plan").out == "The database is up to date.\n"
    assert billfold.json("migrate") == []
