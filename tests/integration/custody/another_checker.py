"""A program that knows proofs of reserves from our page, and nothing of ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from billfold.custody.contracts.reserves import HolderProof, Reserves
from tests import clients

#: Written from the page for those who write one.
CHECKER = Path(clients.__file__).parent / "reserves" / "verify.mjs"


def by_another_checker(published: Reserves, *proofs: HolderProof) -> dict[str, Any]:
    """What it says of a published file and proofs of holders."""

    node = shutil.which("node")
    if node is None:
        pytest.skip("node (the Debian package nodejs) is not installed")
    told = msgspec.json.encode({"published": published, "proofs": proofs})
    done = subprocess.run([node, str(CHECKER)], input=told, capture_output=True, timeout=60, check=True)
    return cast("dict[str, Any]", msgspec.json.decode(done.stdout))
