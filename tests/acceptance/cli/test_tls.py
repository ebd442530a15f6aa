"""A stack that speaks TLS: it is found ready, its commands reach it, and what it prints can be pasted."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests import certificates
from tests.commands import Billfold
from tests.docs import stack


def test_a_stack_that_speaks_tls_is_used_like_any_other(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    files = {"api__tls_certificate": str(made.certificate), "api__tls_key": str(made.key)}
    with stack.running(tmp_path, **files) as environment:
        # Nothing names the stack but its folder.
        here = Billfold({"BILLFOLD_DATA": environment["BILLFOLD_DATA"], "XDG_STATE_HOME": str(tmp_path / "state")})
        assert here.json("status")["api_url"].startswith("https://")
        assert "api_key_refused" in here("status", "--json").out
        assert here.json("wallets", "list")
        assert here("doctor").code == 0
        record = json.loads((tmp_path / "data" / "stack.json").read_text())
        pasted = subprocess.run(["bash", "-c", record["example"]], capture_output=True, timeout=120, check=True)
        assert json.loads(pasted.stdout)["money"] == {"amount": "12.34", "asset": "USD"}
