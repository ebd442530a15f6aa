"""What happens when the key is revoked that a stack has made for itself: it is asked for, told, and made anew."""

from __future__ import annotations

import time
from pathlib import Path

from tests.commands import Billfold
from tests.docs import stack

_WAY_OUT = "`billfold down` and then `billfold up` make a new one."
DEADLINE_S = 60.0


def test_the_stacks_own_key_is_revoked_after_a_question_and_the_way_out_is_told(tmp_path: Path) -> None:
    with stack.running(tmp_path) as environment:
        exported = Billfold(environment)
        found = Billfold({"BILLFOLD_DATA": environment["BILLFOLD_DATA"]})
        (key,) = found.json("keys", "list")
        other = found.json("keys", "create", "Other", "--scope", "wallets:read")
        assert "is revoked" in found("keys", "revoke", other["id"]).out
        assert "the key that you are using" in found("keys", "revoke", key["id"], code=1).err
        assert not found.json("status")["api_key_refused"]
        found("keys", "revoke", key["id"], "--yes")

        deadline = time.monotonic() + DEADLINE_S
        while not found.json("status")["api_key_refused"]:
            assert time.monotonic() < deadline, "the key is still taken"
            time.sleep(0.05)
        for billfold in (found, exported):
            assert _WAY_OUT in billfold("keys", "list", code=1).err
        assert _WAY_OUT in found("status").out
        assert _WAY_OUT in found("doctor").out

    with stack.running(tmp_path) as again:
        assert again["BILLFOLD_API_KEY"] != environment["BILLFOLD_API_KEY"]
        assert found.json("status")["api_key_refused"] is False
