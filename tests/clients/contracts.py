"""The contracts of the local Ethereum, of its adapter and of the tests, compiled by solc from npm.

`python -m tests.clients.contracts` writes their code beside their sources; a test finds what was forgotten.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tests.clients import npm

_ROOT = Path(__file__).parents[2]
_TOKEN = _ROOT / "src" / "billfold" / "devnet" / "ethereum" / "Token.sol"
_BALANCES = _ROOT / "src" / "billfold" / "chains" / "ethereum" / "Balances.sol"
_HOSTILE = _ROOT / "tests" / "integration" / "chains" / "ethereum" / "contracts" / "Hostile.sol"
SOURCES = (_TOKEN, _BALANCES, _HOSTILE)


def compiled(*, folder: Path) -> dict[Path, dict[str, str]]:
    """The code of each contract by its name, by the file that has it. `folder` is an empty one.

    Raises: Missing.
    """
    told = {source.name: source.read_text(encoding="utf-8") for source in SOURCES}
    codes: dict[str, dict[str, str]] = npm.run("solidity", "compile.mjs", told, folder=folder)
    return {source.with_suffix(".json"): codes[source.name] for source in SOURCES}


def main() -> None:
    """Compile everything."""
    with tempfile.TemporaryDirectory() as folder:
        for made, codes in compiled(folder=Path(folder)).items():
            made.write_text(json.dumps(codes, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
