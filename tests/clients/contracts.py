"""The contracts of the local Ethereum, of its adapter and of the tests, compiled by solc from npm.

`python -m tests.clients.contracts` writes their code beside their sources; a test finds what was forgotten.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from billfold.devservers import fetching
from tests.clients import npm

_ROOT = Path(__file__).parents[2]
_TOKEN = _ROOT / "src" / "billfold" / "devnet" / "ethereum" / "Token.sol"
_BALANCES = _ROOT / "src" / "billfold" / "chains" / "ethereum" / "Balances.sol"
_HOSTILE = _ROOT / "tests" / "integration" / "chains" / "ethereum" / "contracts" / "Hostile.sol"
SOURCES = (_TOKEN, _BALANCES, _HOSTILE)


def compiled() -> dict[Path, dict[str, str]]:
    """The code of each contract by its name, by the file that has it.

    Compiling takes a busy machine half a minute, so what came of it is kept beside the compiler, by all that it is
    made of: the sources, the program that has them compiled, and the lock file with the compiler's hash.

    Raises: Missing.
    """
    told = {source.name: source.read_text(encoding="utf-8") for source in SOURCES}
    made_of = [json.dumps(told).encode()]
    made_of += [(npm.ROOT / "solidity" / name).read_bytes() for name in ("compile.mjs", "package-lock.json")]
    digest = hashlib.sha256(b"".join(hashlib.sha256(one).digest() for one in made_of)).hexdigest()[:16]

    def make(empty: Path) -> Path:
        (empty / "run").mkdir()
        made = empty / "made"
        made.mkdir()
        codes = npm.run("solidity", "compile.mjs", told, folder=empty / "run")
        (made / "codes.json").write_text(json.dumps(codes), encoding="utf-8")
        return made

    kept = fetching.cached(f"solidity-code-{digest}", make) / "codes.json"
    codes: dict[str, dict[str, str]] = json.loads(kept.read_text(encoding="utf-8"))
    return {source.with_suffix(".json"): codes[source.name] for source in SOURCES}


def main() -> None:
    """Compile everything."""
    for made, codes in compiled().items():
        made.write_text(json.dumps(codes, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
