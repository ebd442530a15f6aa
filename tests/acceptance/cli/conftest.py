"""Each test is an owner of its own, who sees nothing of the others' wallets."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.commands import Billfold

_numbers = count(1)


@pytest.fixture
def owner(billfold_stack: dict[str, str], tmp_path: Path) -> Callable[..., Billfold]:
    """Makes owners with a key of these scopes, or of all but the operator's."""

    def make(*scopes: str) -> Billfold:
        environment = billfold_stack | {"XDG_STATE_HOME": str(tmp_path / "state")}
        wanted = scopes or (
            "wallets:read",
            "wallets:write",
            "transfers:read",
            "transfers:write",
            "deposits:write",
            "withdrawals:write",
            "holds:read",
            "holds:write",
            "aliases:read",
            "aliases:write",
            "keys:read",
            "keys:write",
            "assets:read",
        )
        flags = [flag for scope in wanted for flag in ("--scope", scope)]
        created = Billfold(environment).json("keys", "create", "Test", "--owner", f"owner {next(_numbers)}", *flags)
        return Billfold(environment | {"BILLFOLD_API_KEY": created["key"]})

    return make


@pytest.fixture
def billfold(owner: Callable[..., Billfold]) -> Billfold:
    """The command line of an owner who has nothing yet."""
    return owner()


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder
