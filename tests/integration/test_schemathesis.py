"""The whole API under generated requests, valid and invalid, single and in sequences: no 5xx, no breach of schema."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from billfold.app.migrate import SETS
from tests import servers
from tests.integration.api import support

#: Per operation and phase. With it a run takes about half a minute on a machine with nothing else to do.
EXAMPLES = 20
TIMEOUT_S = 300
#: Whether an asset exists or a wallet has money is nothing that a schema can say, so what is valid by the schema may
#: still be refused with a 422.
EXCLUDED = "positive_data_acceptance"


@pytest.fixture
async def prepared(postgres_server: servers.PostgresServer) -> tuple[servers.TestDatabase, str]:
    database = postgres_server.create_database(SETS)
    return database, await support.bootstrapped(database)


@pytest.fixture
def fuzzed_server(
    prepared: tuple[servers.TestDatabase, str], tmp_path: Path
) -> Iterator[tuple[support.ApiServer, support.Caller]]:
    database, key = prepared
    # Its requests without credentials, or with wrong ones, are more than a person would send.
    none = {"limits__anonymous_per_minute": "0", "limits__wrong_credentials_per_minute": "0"}
    with support.running_api(database, tmp_path, **none) as server:
        yield server, server.caller(key)


def test_no_generated_request_breaks_the_api(
    fuzzed_server: tuple[support.ApiServer, support.Caller], tmp_path: Path
) -> None:
    server, caller = fuzzed_server
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{server.url}/api/v1/openapi.json",
            "--header",
            f"Authorization: Bearer {caller.key}",
            "--checks=all",
            f"--exclude-checks={EXCLUDED}",
            f"--max-examples={EXAMPLES}",
            "--seed=1",
            "--continue-on-failure",
            "--no-shrink",
            "--request-timeout=30",
            "--warnings=off",
            # An answer without an end is none that it could check.
            "--exclude-path=/api/v1/stream",
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    # It may have revoked the key that it calls with; everything after that would have tried nothing.
    assert caller.get("/wallets").status_code == 200
    assert "Traceback" not in server.log
    assert "request failed" not in server.log
