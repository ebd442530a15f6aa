"""`billfold import transactions` on small files: what is imported, rejected, gone on with and repeated."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Billfold, Result

_FLAGS = ("--asset", "USD", "--account-column", "account", "--amount-column", "amount", "--id-column", "id")
_DATED = (*_FLAGS, "--date-column", "date")
_OPERATOR = (
    "operator",
    "limits:write",
    "assets:read",
    "wallets:read",
    "wallets:write",
    "transfers:read",
    "transfers:write",
    "deposits:write",
    "withdrawals:write",
)
_HEADER = "id,account,date,amount\n"


def _file(folder: Path, rows: str, name: str = "bank.csv") -> Path:
    path = folder / name
    path.write_text(_HEADER + rows, encoding="utf-8")
    return path


def _import(billfold: Billfold, path: Path, *flags: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = billfold.json("import", "transactions", path, *(flags or _DATED), code=code)
    return found


def _counts(imported: int = 0, replayed: int = 0, rejected: int = 0, wallets_created: int = 0) -> dict[str, int]:
    return {"imported": imported, "replayed": replayed, "rejected": rejected, "wallets_created": wallets_created}


def _posted(billfold: Billfold, account: str, *more: str) -> str:
    (line,) = billfold.json("balance", account, "--asset", "USD", *more)["balances"]
    posted: str = line["posted"]
    return posted


def test_rows_become_deposits_and_withdrawals_at_their_value_dates(billfold: Billfold, in_folder: Path) -> None:
    path = _file(in_folder, "1,a,2020-01-01,10.00\n2,b,2020-01-01,5\n3,a,2020-01-03,-2.50\n")
    found = _import(billfold, path, *_DATED, "--reference-column", "id", "--metadata-columns", "date")
    assert found["now"] == _counts(imported=3, wallets_created=2)
    assert found["rejects_file"] is None
    days = [_posted(billfold, "a", "--effective-at", f"{day}T23:59:59Z") for day in ("2020-01-01", "2020-01-03")]
    assert days == ["10.00", "7.50"]
    (line, _) = billfold.json("transfers", "list", "--wallet", "a")
    assert (line["kind"], line["reference"], line["metadata"]) == ("withdrawal", "3", {"date": "2020-01-03"})
    assert line["effective_at"].startswith("2020-01-03T00:00:00")


def test_a_repeat_changes_nothing_with_and_without_its_memory(
    billfold: Billfold, in_folder: Path, tmp_path: Path
) -> None:
    path = _file(in_folder, "1,a,2020-01-01,10.00\n2,a,2020-01-02,-3.00\n")
    _import(billfold, path)
    again = _import(billfold, path)
    assert (again["now"], again["before"]) == (_counts(), _counts(imported=2, wallets_created=1))
    for remembered in (tmp_path / "state" / "billfold" / "imports").glob("*.json"):
        remembered.unlink()
    forgotten = _import(billfold, path)
    assert (forgotten["now"], forgotten["before"]) == (_counts(replayed=2), _counts())
    compressed = in_folder / "bank.csv.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes()))
    assert _import(billfold, compressed)["before"]["replayed"] == 2
    assert _posted(billfold, "a") == "7.00"


def test_rows_that_were_added_later_are_imported_alone(billfold: Billfold, in_folder: Path) -> None:
    rows = "1,a,2020-01-01,10.00\n"
    _import(billfold, _file(in_folder, rows))
    found = _import(billfold, _file(in_folder, rows + "2,a,2020-01-02,1.00\n"))
    assert (found["now"], found["before"]["imported"]) == (_counts(imported=1), 1)
    inserted = _import(billfold, _file(in_folder, "3,a,2019-12-31,5.00\n" + rows + "2,a,2020-01-02,1.00\n"))
    assert (inserted["now"], inserted["before"]) == (_counts(imported=1, replayed=2), _counts())
    assert _posted(billfold, "a") == "16.00"


def test_a_row_that_was_changed_after_its_import_is_rejected(billfold: Billfold, in_folder: Path) -> None:
    _import(billfold, _file(in_folder, "1,a,2020-01-01,10.00\n"))
    found = _import(billfold, _file(in_folder, "1,a,2020-01-01,99.00\n"), code=1)
    assert found["now"] == _counts(rejected=1)
    assert "was imported before, and was another one" in (in_folder / "bank.rejects.csv").read_text()
    assert _posted(billfold, "a") == "10.00"


def test_the_same_ids_of_another_import_are_other_rows(billfold: Billfold, in_folder: Path) -> None:
    _import(billfold, _file(in_folder, "1,a,2020-01-01,10.00\n"))
    path = _file(in_folder, "1,a,2020-01-01,10.00\n", "another.csv")
    assert _import(billfold, path)["now"]["imported"] == 1
    assert _import(billfold, path, *_DATED, "--name", "bank.csv")["before"]["imported"] == 1
    assert _posted(billfold, "a") == "20.00"


def test_nothing_is_posted_from_a_compressed_file_without_its_checksum(billfold: Billfold, in_folder: Path) -> None:
    path = _file(in_folder, "1,a,2020-01-01,1.00\n2,a,2020-01-02,1.00\n")
    compressed = in_folder / "bank.csv.gz"
    compressed.write_bytes(gzip.compress(path.read_bytes(), compresslevel=0).replace(b"1.00", b"9.00")[:-8])
    refused = billfold("import", "transactions", compressed, *_DATED, code=1)
    assert "breaks off before its checksum" in refused.err
    assert _import(billfold, path)["now"]["imported"] == 2
    assert _posted(billfold, "a") == "2.00"


def test_bad_rows_go_to_a_file_with_line_field_and_reason(billfold: Billfold, in_folder: Path) -> None:
    rows = [
        "1,a,2020-01-01,10.00",
        "2,a,2020-13-01,1.00",
        "3,a,2020-01-01,1.001",
        '4,"a,2020-01-01,1.00',
        "5,a,2020-01-01,-100.00",
        "6,a,2199-01-01,1.00",
        "7,,2020-01-01,1.00",
        "8,a,2020-01-02,-4.00",
    ]
    path = _file(in_folder, "\n".join(rows) + "\n")
    shown = billfold("import", "transactions", path, *_DATED, code=1).out
    assert "6 (in bank.rejects.csv)" in shown
    with (in_folder / "bank.rejects.csv").open(newline="") as file:
        rejects = list(csv.DictReader(file))
    assert [(found["reject_line"], found["reject_field"]) for found in rejects] == [
        ("3", "date"),
        ("4", "amount"),
        ("5", ""),
        ("6", ""),
        ("7", "date"),
        ("8", "account"),
    ]
    assert [found["id"] for found in rejects] == ["2", "3", "", "5", "6", "7"]
    assert rejects[2]["reject_text"] == '4,"a,2020-01-01,1.00'
    assert rejects[3]["reject_reason"] == "The available balance is not enough."
    assert all(found["reject_reason"].endswith(".") for found in rejects)
    assert _posted(billfold, "a") == "6.00"
    billfold("import", "transactions", path, *_DATED, "--allow-rejects")
    again = billfold("import", "transactions", path, *_DATED, code=1).out
    assert "2 (done by an earlier run)" in again
    assert "6 (in bank.rejects.csv)" in again
    (in_folder / "bank.rejects.csv").unlink()
    assert "6 (6 by an earlier run)" in billfold("import", "transactions", path, *_DATED, code=1).out


def test_a_reject_file_replaces_no_other_file(billfold: Billfold, in_folder: Path) -> None:
    path = _file(in_folder, "1,a,2020-01-01,nonsense\n")
    mine = in_folder / "mine.csv"
    mine.write_text("of mine")
    for taken, said in ((mine, "is there already"), (path, "is the file to import")):
        found = billfold("import", "transactions", path, *_DATED, "--rejects", taken.name, code=2)
        assert said in found.err
    (in_folder / "bank.rejects.csv").write_text("of mine")
    assert _import(billfold, path, code=1)["rejects_file"] == str(in_folder / "bank.rejects-2.csv")
    assert mine.read_text() == (in_folder / "bank.rejects.csv").read_text() == "of mine"


def test_a_reject_file_is_imported_once_it_is_corrected(billfold: Billfold, in_folder: Path) -> None:
    _import(billfold, _file(in_folder, "1,a,2020-01-01,10.00\n2,a,1.2.2020,5.00\n"), code=1)
    rejects = in_folder / "bank.rejects.csv"
    rejects.write_text(rejects.read_text().replace("1.2.2020", "2020-02-01", 1))
    assert _import(billfold, rejects)["now"] == _counts(imported=1)
    assert _posted(billfold, "a") == "15.00"
    assert not (in_folder / "bank.rejects.rejects.csv").exists()


def test_an_overdraft_is_granted_to_the_wallets_of_the_file(owner: Callable[..., Billfold], in_folder: Path) -> None:
    operator = owner(*_OPERATOR)
    path = _file(in_folder, "1,over-a,2020-01-01,-10.00\n2,over-b,2020-01-01,-10.01\n")
    found = _import(operator, path, *_DATED, "--overdraft", "10", code=1)
    assert found["now"] == _counts(imported=1, rejected=1, wallets_created=2)


def test_an_overdraft_needs_the_scope_for_limits(billfold: Billfold, in_folder: Path) -> None:
    path = _file(in_folder, "1,a,2020-01-01,-10.00\n")
    found = billfold("import", "transactions", path, *_DATED, "--overdraft", "unlimited", code=1)
    assert "limits:write" in found.err


def test_an_overdraft_that_is_wider_already_stays(owner: Callable[..., Billfold], in_folder: Path) -> None:
    operator = owner(*_OPERATOR)
    _import(operator, _file(in_folder, "1,wide-a,2020-01-01,-10.00\n"), *_DATED, "--overdraft", "unlimited")
    (wide,) = operator.json("balance", "wide-a")["balances"]
    second = _file(in_folder, "2,wide-a,2020-01-01,-10.00\n", "second.csv")
    assert _import(operator, second, *_DATED, "--overdraft", "5")["now"] == _counts(imported=1)
    (still,) = operator.json("balance", "wide-a")["balances"]
    assert still["credit_limit"] == wide["credit_limit"] == "1000000000000000.00"
    shown = operator("balance", "wide-a").out
    assert "unlimited" in shown
    assert "1000000000000000" not in shown


def test_the_columns_can_be_told_by_a_file(billfold: Billfold, in_folder: Path) -> None:
    lines = [
        {"nr": 1, "konto": "a", "betrag": "1234,5", "art": "H", "tag": "31.12.2019", "text": "Miete"},
        {"nr": 2, "konto": "a", "betrag": "34,5", "art": "S", "tag": "1.1.2020", "text": None},
    ]
    path = in_folder / "bank.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (in_folder / "bank.toml").write_text(
        """
        asset = "EUR"
        id_column = "nr"
        account_column = "konto"
        amount_column = "betrag"
        decimal_comma = true
        date_column = "tag"
        date_format = "%d.%m.%Y"
        direction_column = "art"
        credit_value = "H"
        debit_value = "S"
        description_columns = ["text"]
        """
    )
    assert _import(billfold, path, "--mapping", "bank.toml")["now"] == _counts(imported=2, wallets_created=1)
    last, first = billfold.json("transfers", "list", "--wallet", "a")
    assert (first["money"]["amount"], first["description"]) == ("1234.50", "Miete")
    assert (last["direction"], last["balance"], last["effective_at"][:10]) == ("out", "1200.00", "2020-01-01")


def test_a_wallet_that_has_a_name_of_its_own_keeps_it(billfold: Billfold, in_folder: Path) -> None:
    billfold("wallets", "create", "Ada's savings", "--external-id", "a")
    found = _import(billfold, _file(in_folder, "1,a,2020-01-01,10.00\n"))
    assert found["now"] == _counts(imported=1)
    assert billfold.json("wallets", "show", "a")["name"] == "Ada's savings"


def test_what_is_whole_of_a_file_that_breaks_off_is_imported(billfold: Billfold, in_folder: Path) -> None:
    path = _file(in_folder, "1,a,2020-01-01,10.00\n2,a,2020-01-02,1.0")
    half = billfold("import", "transactions", path, *_DATED, code=1)
    assert "Imported         1" in half.out
    assert "Line 3 of" in half.err
    assert "--complete" in half.err
    whole = _import(billfold, _file(in_folder, "1,a,2020-01-01,10.00\n2,a,2020-01-02,1.05\n"))
    assert (whole["now"], whole["before"]["imported"]) == (_counts(imported=1), 1)
    assert _posted(billfold, "a") == "11.05"


def test_longer_texts_than_fit_one_request_are_sent_in_parts(billfold: Billfold, in_folder: Path) -> None:
    columns = [f"text{number}" for number in range(10)]
    path = in_folder / "bank.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "account", "amount", *columns])
        writer.writerows([number, "a", "0.01", *(["ž" * 500] * len(columns))] for number in range(300))
    flags = [flag for column in columns for flag in ("--metadata-columns", column)]
    assert _import(billfold, path, *_FLAGS, *flags)["now"] == _counts(imported=300, wallets_created=1)
    assert _posted(billfold, "a") == "3.00"


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (("--asset", "USD"), 2, "--account-column is missing"),
        ((*_FLAGS[:-1], "nr"), 2, "no column 'nr' (--id-column)"),
        (("--asset", "XXX", *_FLAGS[2:]), 2, "`billfold assets list`"),
        ((*_FLAGS, "--overdraft", "lots"), 2, "none, unlimited or an amount"),
        ((*_FLAGS, "--overdraft=-5"), 2, "no sign"),
        ((*_FLAGS, "--mapping", "absent.toml"), 2, "absent.toml can't be read"),
        ((*_FLAGS, "--url", "http://127.0.0.1:1"), 3, "Nothing answers"),
        ((*_FLAGS, "--rejects", "absent/rejects.csv"), 1, "absent/rejects.csv can't be written"),
    ],
)
def test_what_goes_wrong_with_an_import_is_one_sentence(
    billfold: Billfold, in_folder: Path, flags: tuple[str, ...], code: int, said: str
) -> None:
    path = _file(in_folder, "1,a,2020-01-01,nonsense\n")
    found: Result = billfold("import", "transactions", path, *flags, code=code)
    assert said in found.err
    assert "Traceback" not in found.err


def test_a_ledger_that_is_not_the_one_of_the_memory_gets_everything(
    billfold: Billfold, owner: Callable[..., Billfold], in_folder: Path
) -> None:
    """As after `billfold reset`: the memory speaks of a transfer that this ledger, or this owner, does not have."""
    path = _file(in_folder, "1,a,2020-01-01,10.00\n")
    _import(billfold, path)
    other = owner()
    assert _import(other, path)["now"] == _counts(imported=1, wallets_created=1)
