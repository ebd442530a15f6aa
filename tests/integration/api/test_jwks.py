"""The published keys, and the command that replaces them."""

from pathlib import Path

import httpx2

from tests import master_keys, servers
from tests.commands import Billfold
from tests.integration.api import support


def test_the_keys_are_published_at_the_root_and_may_be_kept_for_a_while(
    api_database: servers.TestDatabase, tmp_path: Path
) -> None:
    billfold = Billfold(
        {
            "BILLFOLD_POSTGRES__DSN": api_database.app_dsn,
            "BILLFOLD_KEYS__FILE": str(master_keys.shared()),
        }
    )
    with support.running_api(api_database, tmp_path) as server:
        url = f"{server.url}/.well-known/jwks.json"
        answer = httpx2.get(url)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers.get_list("cache-control") == ["public, max-age=300"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        [first] = answer.json()["keys"]
        assert first.keys() == {"kty", "crv", "x", "kid", "alg", "use"}, "no private half"
        assert httpx2.get(url).json() == answer.json()
        assert httpx2.head(url).status_code == 200
        assert httpx2.get(f"{server.url}/.well-known/else").status_code == 404

        assert "is published, and signs from" in billfold("keys", "rotate-signing").out
        leaked = billfold.json("keys", "rotate-signing", "--now")
    with support.running_api(api_database, tmp_path) as server:
        [last] = httpx2.get(f"{server.url}/.well-known/jwks.json").json()["keys"]
        assert last["kid"] == leaked["key"] != first["kid"]


def test_signing_keys_are_not_replaced_without_master_keys(api_database: servers.TestDatabase) -> None:
    billfold = Billfold({"BILLFOLD_POSTGRES__DSN": api_database.app_dsn})
    assert "keys.file names no file" in billfold("keys", "rotate-signing", code=1).err
