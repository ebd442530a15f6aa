"""What is opened at an own account pays nothing, and still the chain keeps some of the coin for it."""

from __future__ import annotations

import pytest

from billfold.chains.port import Network, Payment
from billfold.chains.signing_port import Shown
from billfold.signer import errors
from billfold.signer.contracts import Limit
from billfold.signer.domain.policy import Reading, Rules, check_rules

USDC = "USDC:GISSUER"


def reading(*tokens: str) -> Reading:
    opened = [Payment(address="ours", amount=0, token=token) for token in tokens]
    return Reading(shown=Shown(sources=["ours"], payments=opened, fee_max=200, kind="open"), outside=[])


def rules(*tokens: str | None) -> Rules:
    limits = {
        token: Limit(chain="stellar", network="main", token=token, per_transaction=most, per_window=most, window_s=60)
        for token, most in ((one, 1_000 if one is None else 0) for one in tokens)
    }
    return Rules(limits=limits, allowed=None)


def test_a_trustline_is_opened_for_an_asset_that_the_policy_names_though_none_of_it_may_leave() -> None:
    assert check_rules(rules(None, USDC), "main", reading(USDC), {}) == {None: 200}


@pytest.mark.parametrize("network", ["main", "test"])
def test_a_trustline_for_any_other_asset_is_refused_where_money_is_real(network: Network) -> None:
    for tokens in (["JUNK:GISSUER"], [USDC, "JUNK:GISSUER"]):
        with pytest.raises(errors.PolicyMissing, match="not opened"):
            check_rules(rules(None, USDC), network, reading(*tokens), {})


def test_on_a_sandbox_anything_is_opened() -> None:
    assert check_rules(rules(), "sandbox", reading("JUNK:GISSUER"), {}) == {None: 200}
