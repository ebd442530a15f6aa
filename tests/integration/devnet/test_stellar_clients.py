"""@stellar/stellar-sdk, which we did not write, drives the local Stellar unchanged: tests/clients/stellar/drive.mjs."""

from pathlib import Path
from typing import Any

import pytest

from billfold.chains.stellar.networks import PASSPHRASES
from tests import conftest
from tests.clients import npm
from tests.servers.devnets import DevnetServer


@pytest.fixture(scope="module")
def said(stellar_server: DevnetServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    told = {"url": stellar_server.url, "passphrase": PASSPHRASES["sandbox"]}
    folder: Path = tmp_path_factory.mktemp("stellar-sdk")
    with conftest.had("clients_of_stellar"):
        found: dict[str, Any] = npm.run("stellar", "drive.mjs", told, folder=folder)
    return found


def test_the_sdk_pays_and_reads_back_what_it_paid(said: dict[str, Any]) -> None:
    assert said["passphrase"]
    assert (said["baseFee"], said["feeStats"]) == (100, "100")
    assert said["first"] == {
        "sameHash": True,
        "signed": True,
        "result": "txSuccess",
        "results": 2,
        "feeCharged": True,
        "memo": "für bob",
        "successful": True,
    }
    assert said["fresh"] == "12.5000000"
    assert said["muxed"] == [True, "77"]
    assert said["merged"] == 404


def test_the_sdk_walks_ledgers_and_pages(said: dict[str, Any]) -> None:
    assert said["ledger"] == {"parent": True, "operations": 2, "good": 1}
    assert said["payments"] == ["create_account", "payment", "0.0000001", "für bob"]
    assert said["operations"] == ["create_account", "payment"]


def test_the_sdk_trades_and_pays_along_paths(said: dict[str, Any]) -> None:
    assert said["offer"] == [0, "50"]
    assert said["path"] == ["20.0000000", "10.0000000"]
    assert said["bought"] == "15.0000000"
    assert said["crossed"] == ["2", True]


def test_an_account_of_two_takes_two_signatures_and_no_third(said: dict[str, Any]) -> None:
    assert said["shared"] == ["tx_failed op_bad_auth", True, "tx_bad_auth_extra"]


def test_a_fee_bump_replaces_at_ten_times_the_offer(said: dict[str, Any]) -> None:
    assert (said["pending"], said["again"]) == ("PENDING", "DUPLICATE")
    assert said["little"] == "tx_insufficient_fee"
    assert said["bumped"] == {
        "hash": True,
        "inner": True,
        "payer": True,
        "source": True,
        "code": "txFeeBumpInnerSuccess",
    }


@pytest.mark.parametrize(
    ("what", "codes"),
    [
        ("no_destination", "tx_failed op_no_destination"),
        ("underfunded", "tx_failed op_underfunded"),
        ("no_trust", "tx_failed op_no_trust"),
        ("line_full", "tx_failed op_line_full"),
        ("not_authorized", "tx_failed op_not_authorized"),
        ("already_exists", "tx_failed op_already_exists"),
        ("low_reserve", "tx_failed op_low_reserve"),
        ("invalid_limit", "tx_failed op_invalid_limit"),
        ("no_issuer", "tx_failed op_no_issuer"),
        ("too_few_offers", "tx_failed op_too_few_offers"),
        ("over_source_max", "tx_failed op_over_source_max"),
        ("under_dest_min", "tx_failed op_under_dest_min"),
        ("sub_entries", "tx_failed op_has_sub_entries"),
        ("bad_seq", "tx_bad_seq"),
        ("insufficient_fee", "tx_insufficient_fee"),
        ("insufficient_balance", "tx_insufficient_balance"),
        ("bad_auth", "tx_bad_auth"),
        ("other_network", "tx_bad_auth"),
        ("too_late", "tx_too_late"),
        ("too_early", "tx_too_early"),
        ("missing_operation", "tx_missing_operation"),
    ],
)
def test_what_the_network_refuses_is_refused_with_its_codes(said: dict[str, Any], what: str, codes: str) -> None:
    assert said["refused"][what] == codes


def test_the_sdk_meets_what_it_knows_of(said: dict[str, Any]) -> None:
    assert said["memoRequired"] == "AccountRequiresMemoError"
    assert said["missing"] == "NotFoundError 404"


def test_an_answer_that_never_came_is_asked_for_by_the_same_transaction(said: dict[str, Any]) -> None:
    assert said["silent"] == 504
    assert said["sameAgain"]
