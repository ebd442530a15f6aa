"""Which stack a command goes to when several are named: what the command line says wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from billfold.app.supervisor import record
from tests.commands import Billfold

_NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def data(billfold_stack: dict[str, str]) -> str:
    """The data folder of the stack that runs."""
    return billfold_stack["BILLFOLD_DATA"]


@pytest.fixture
def astray(tmp_path: Path) -> Billfold:
    """In an environment that names another stack's address, key, database and broker, and a folder where none runs."""
    return Billfold(
        {
            "BILLFOLD_URL": _NOWHERE,
            "BILLFOLD_API_KEY": "bf_live_of_another_stack",
            "BILLFOLD_DATA": str(tmp_path / "none"),
            "BILLFOLD_POSTGRES__DSN": "postgresql://billfold_app:x@127.0.0.1:1/core",
            "BILLFOLD_NATS__URL": "nats://127.0.0.1:1",
        }
    )


def test_a_data_folder_on_the_command_line_beats_whatever_the_environment_names(astray: Billfold, data: str) -> None:
    assert _NOWHERE in astray("wallets", "list", code=3).err
    made = astray.json("wallets", "create", "Here", "--data", data)
    assert astray.json("wallets", "show", made["id"], "--data", data)["name"] == "Here"
    assert "The books are right." in astray("ledger", "verify", "--data", data).out
    seen = astray(
        "events", "tail", "--from", "beginning", "--type", "wallet.created.v1", "--count", "1", "--data", data
    )
    assert "wallet.created.v1" in seen.out


def test_a_data_folder_on_the_command_line_beats_a_settings_file(data: str, tmp_path: Path) -> None:
    file = tmp_path / "billfold.toml"
    file.write_text(f'[client]\nurl = "{_NOWHERE}"\napi_key = "bf_live_of_another_stack"\n', encoding="utf-8")
    billfold = Billfold({"BILLFOLD_DATA": data})
    assert _NOWHERE in billfold("wallets", "list", "--config", file, code=3).err
    assert billfold("wallets", "list", "--config", file, "--data", data).code == 0


def test_an_address_and_a_key_on_the_command_line_are_used_beside_a_data_folder(astray: Billfold, data: str) -> None:
    assert "http://127.0.0.1:2" in astray("wallets", "list", "--data", data, "--url", "http://127.0.0.1:2", code=3).err
    assert "API key" in astray("wallets", "list", "--data", data, "--api-key", "bf_live_wrong", code=1).err
    found = record.read(Path(data))
    named = astray("wallets", "list", "--data", data, "--url", found.api_url, "--api-key", found.api_key)
    assert named.code == 0
