"""The audit keeps of every event what its actor may see for ever: no balance, no version, nothing of the other side."""

import re

import msgspec
import pytest

from billfold.platform.messaging import refused
from billfold.wallets import events as of_wallets
from tests import event_payloads
from tests.docs.event_schemas import PAYLOADS

#: All but what goes to the dead letters, of which the audit is told in other words.
KINDS = tuple(kind for kind in PAYLOADS if kind not in {refused.REFUSED, of_wallets.REFUSED})
#: The types of what two people have to do with, of whom neither is there for the other.
OF_TWO = tuple(kind for kind in KINDS if kind.startswith(("transfer.posted", "hold.", "payment_request.")))
#: Whose thing it is, and who did it. Where these are two, one is staff and acts on what they see; and whoever asks for
#: something is told who decided.
PEOPLE = frozenset({"owner_id", "user_id", "by", "by_user", "checker_id"})
#: Where somebody is reached, or was; of what is nobody else's than theirs, and masked where it was typed.
ADDRESSES = frozenset({"email", "phone", "login", "address", "device"})
#: What stands for a thing, and for nobody.
THINGS = re.compile(
    r"(wallet|transfer|request|payment_request|api_key|alias|session|identity|passkey|step_up|approval"
    r"|external|deposit|withdrawal|reversal|movement|refill)_id|id|account|(debit|credit)_account"
)
#: All else that has been held against the rule.
PLAIN = frozenset(
    {
        *("name", "status", "metadata", "created_at", "credit_limits", "kind", "money", "reference", "description"),
        *("effective_at", "recorded_at", "settled", "remaining", "expires_at", "accepted_at", "ended_at", "reason"),
        *("detail", "mode", "scopes", "alias", "visibility", "kept_until", "methods", "provider", "subject", "factor"),
        # What everybody sees on a chain, and what the wallet's owner was told of it.
        *("chain", "chain_tx", "index", "height", "memo", "network_fee", "service_fee"),
        # Where an operator has had money of nobody known sent, or whom they have given it to, and how they know.
        *("refund", "assignment"),
        # What the house moves between addresses of its own.
        *("source", "received", "outcome"),
        # What operators see of the house itself.
        *("on_chain", "stopped"),
        *("left", "purpose", "operation", "method", "locale", "changed", "time_zone", "roles", "before", "from", "to"),
    }
)


def fields(kind: str) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(event_payloads.kept_of(kind))}


@pytest.mark.parametrize("kind", KINDS)
def test_a_fact_has_only_what_was_held_against_the_rule(kind: str) -> None:
    new = {name for name in fields(kind) - PEOPLE - ADDRESSES - PLAIN if not THINGS.fullmatch(name)}
    assert not new, "may whoever did it see this for ever? Say so here, or keep it out by FACTS"


@pytest.mark.parametrize("kind", KINDS)
def test_no_fact_has_the_balance_or_version_of_an_account(kind: str) -> None:
    assert not [name for name in fields(kind) if "balance" in name or "version" in name]


@pytest.mark.parametrize("kind", OF_TWO)
def test_a_fact_that_concerns_two_names_neither(kind: str) -> None:
    assert fields(kind).isdisjoint(PEOPLE | ADDRESSES | {"payer_id"})


def test_what_is_kept_is_told_by_the_event_too() -> None:
    for kind, (_, payload) in PAYLOADS.items():
        assert fields(kind) <= {field.encode_name for field in msgspec.structs.fields(payload)}, kind
