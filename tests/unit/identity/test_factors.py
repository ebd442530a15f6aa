"""Codes: how they are written, and which of them count."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from billfold.identity import errors
from billfold.identity.adapters import totp
from billfold.identity.contracts import Proof
from billfold.identity.domain import factors, step_up

# RFC 6238's own secret, and its codes at these seconds, of which ours are the last six digits (appendix B).
RFC_SECRET = b"12345678901234567890"
RFC_CODES = {59: "287082", 1111111109: "081804", 1234567890: "005924", 2000000000: "279037"}


@pytest.mark.parametrize(("second", "code"), RFC_CODES.items())
def test_codes_are_those_of_the_rfc(second: int, code: str) -> None:
    step = factors.step_at(datetime.fromtimestamp(second, UTC))
    assert totp.codes(RFC_SECRET, [step]) == {step: code}


def test_the_steps_of_a_minute_and_a_half_count() -> None:
    steps = factors.steps_around(datetime.fromtimestamp(59, UTC))
    assert list(steps) == [0, 1, 2]
    codes = totp.codes(RFC_SECRET, steps)
    assert factors.matching_step("287082", codes) == 1
    assert factors.matching_step("000000", codes) is None


def test_a_recovery_code_reads_well_and_can_be_written_anyhow() -> None:
    text = factors.recovery_text(bytes(range(15)))
    assert text == "aaaq-eaye-auda-ocaj-bifq-ydio"
    assert len({factors.recovery_hash(one) for one in (text, text.upper(), text.replace("-", " "), f" {text}\n")}) == 1
    assert factors.recovery_hash(text) != factors.recovery_hash(text[:-1])


def test_a_proof_is_one_factor() -> None:
    assert factors.method_of(Proof(totp="123456")) == "totp"
    for proof in (Proof(), Proof(totp="123456", recovery_code="x")):
        with pytest.raises(errors.OneFactorWanted):
            factors.method_of(proof)


def test_a_digest_stands_for_all_of_the_content_in_any_order() -> None:
    assert step_up.digest("a", {"x": "1", "y": "2"}) == step_up.digest("a", {"y": "2", "x": "1"})
    others = [("b", {"x": "1", "y": "2"}), ("a", {"x": "1"}), ("a", {"x": "2", "y": "1"}), ("a", {"x": '1","y":"2'})]
    assert step_up.digest("a", {"x": "1", "y": "2"}) not in [step_up.digest(*other) for other in others]
