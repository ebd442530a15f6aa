"""What `billfold audit verify` takes, and what it refuses to take."""

import msgspec
import pytest

from billfold.audit import errors, verify
from billfold.audit.contracts import RecordProof
from billfold.audit.service import signing
from tests.unit.audit import logs
from tests.unit.audit.test_exports import proof_of

KEY = str(logs.SIGNER.public)


def proof() -> RecordProof:
    return proof_of([logs.record(position) for position in range(5)], 3)


def test_an_export_is_checked_with_any_of_the_keys() -> None:
    other, _ = signing.Signer.new()
    assert verify(logs.export(5), keys=[str(other.public), KEY]).faults == []
    assert verify(logs.export(5), keys=[str(other.public)]).faults != []
    assert verify([], keys=[KEY]).faults != []


def test_a_proof_is_checked_on_one_line_and_over_several() -> None:
    text = msgspec.json.encode(proof())
    for written in (text, msgspec.json.format(text)):
        found = verify(written.splitlines(), keys=[KEY])
        assert (found.faults, found.records) == ([], 1)
    forged = msgspec.json.encode(msgspec.structs.replace(proof(), record=logs.record(4).decode()))
    assert verify([forged], keys=[KEY]).faults != []


def test_published_heads_are_compared_whatever_is_checked() -> None:
    lines = [logs.record(position) for position in range(5)]
    fits = "\n".join(logs.SIGNER.sign(logs.head(lines[:size])) for size in (2, 5)) + "\n"
    assert (found := verify(logs.export(5), keys=[KEY], heads=fits)).faults == []
    assert found.kept == 2
    differs = logs.SIGNER.sign(logs.head([logs.record(9), *lines[1:]]))
    assert verify(logs.export(5), keys=[KEY], heads=differs).faults != []
    assert verify([msgspec.json.encode(proof())], keys=[KEY], heads=differs).faults != []
    assert verify([msgspec.json.encode(proof())], keys=[KEY], heads=fits).kept == 1
    assert verify(logs.export(5), keys=[KEY]).kept == 0


def test_what_is_no_key_and_no_head_is_refused() -> None:
    stranger, _ = signing.Signer.new()
    with pytest.raises(errors.KeyInvalid):
        verify(logs.export(1), keys=["a key"])
    for heads in ("something else", stranger.sign(logs.head([logs.record(0)]))):
        with pytest.raises(errors.HeadsInvalid):
            verify(logs.export(1), keys=[KEY], heads=heads)


@pytest.mark.parametrize("heads", ["", "\n", "\n\n \n"])
def test_no_head_to_compare_with_is_no_comparison_that_has_been_passed(heads: str) -> None:
    with pytest.raises(errors.HeadsInvalid, match="no published head"):
        verify(logs.export(1), keys=[KEY], heads=heads)
