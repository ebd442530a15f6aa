"""docs/how-to/run-the-ledger-as-a-role.md: what it does by grpcurl, where that can be had."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from billfold.devservers import fetching
from tests import ledgers, servers
from tests.conftest import had
from tests.docs import blocks
from tests.integration.ledger.support import MIGRATIONS

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-the-ledger-as-a-role.md"
PROGRAM = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3"
#: It is compiled when it is first needed.
_INSTALL_TIMEOUT_S = 900


@pytest.fixture(scope="session")
def grpcurl() -> Path:
    """The folder of the program: one that is installed, or one that Go makes and a cache keeps."""
    if (found := shutil.which("grpcurl")) is not None:
        return Path(found).parent
    with had("grpcurl"):
        return _made_by_go()


def _made_by_go() -> Path:
    go = shutil.which("go")
    if go is None:
        raise servers.Missing("neither grpcurl nor Go is installed")

    def make(folder: Path) -> Path:
        environment = os.environ | {"GOBIN": str(folder)}
        subprocess.run(
            [go, "install", PROGRAM], env=environment, check=True, capture_output=True, timeout=_INSTALL_TIMEOUT_S
        )
        return folder

    try:
        return fetching.cached("grpcurl-1.9.3", make)
    except (subprocess.SubprocessError, OSError) as error:
        raise servers.Missing("Go can't fetch grpcurl here") from error


@pytest.fixture
def dsn(postgres_server: servers.PostgresServer) -> str:
    return postgres_server.create_database(MIGRATIONS).app_dsn


def test_the_commands_of_the_page_open_an_account_and_post_to_it(dsn: str, grpcurl: Path, tmp_path: Path) -> None:
    (code,) = [one.code for one in blocks.fences(PAGE.read_text(encoding="utf-8")) if "grpcurl -plain" in one.code]
    environment = os.environ | {"PATH": f"{grpcurl}{os.pathsep}{os.environ['PATH']}"}
    with ledgers.serving(dsn, tmp_path):
        bash = ["bash", "-euo", "pipefail", "-c", code]
        run = subprocess.run(bash, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "billfold.ledger.v1.LedgerService.Post\n" in run.stdout
    assert '"posted": "1250"' in run.stdout
