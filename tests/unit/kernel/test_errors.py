import re

import pytest

import billfold.ledger.errors
from billfold.kernel import errors, ids
from billfold.kernel.principal import MissingScope, Principal

ALL = [error for error in errors.catalogue() if error.__module__.startswith(("billfold.kernel.", "billfold.ledger."))]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_error_has_a_code_and_a_sentence(error: type[errors.BillfoldError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", error.code)
    assert error.sentence().endswith(".")


def test_an_error_says_its_sentence_unless_it_is_told_another() -> None:
    assert errors.NotFound().detail == errors.NotFound.sentence()
    assert errors.NotFound("Another sentence.", pointer="/a").detail == "Another sentence."


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in ALL]
    assert len(codes) == len(set(codes))
    assert billfold.ledger.errors.InsufficientFunds in ALL


def test_every_error_of_the_ledger_is_of_a_kind_that_the_edge_knows() -> None:
    kinds = (errors.Refusal, errors.Unavailable)
    concrete = [error for error in ALL if issubclass(error, billfold.ledger.errors.LedgerError)]
    unkind = {error for error in concrete if not issubclass(error, kinds)}
    # A defect is neither refused nor away: it is answered as one, with 500.
    assert unkind == {billfold.ledger.errors.LedgerError, billfold.ledger.errors.RequestFailed}


def test_only_what_may_succeed_later_is_retryable() -> None:
    retryable = {error.code for error in ALL if error.retryable}
    assert {"unavailable", "outcome_unknown", "overloaded", "idempotency_key_in_use", "internal_error"} <= retryable
    assert not retryable & {"insufficient_funds", "invalid_request", "not_found", "conflict", "forbidden"}


def test_a_principal_without_the_scope_is_denied_by_its_name() -> None:
    principal = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=frozenset({"wallets:read"}))
    principal.require("wallets:read")
    assert not principal.is_operator
    with pytest.raises(MissingScope, match="wallets:write"):
        principal.require("wallets:write")
