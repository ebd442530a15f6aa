"""The compiled contracts are those of their sources."""

import json

from tests import conftest
from tests.clients import contracts


def test_the_code_is_what_its_source_compiles_to() -> None:
    with conftest.had("solc"):
        made = contracts.compiled()
    for file, codes in made.items():
        assert codes == json.loads(file.read_text(encoding="utf-8")), "again: python -m tests.clients.contracts"
