"""The gateway of deploy/gateway in front of two processes of the API, on a database with every context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from billfold.app.migrate import SETS
from tests import certificates, master_keys, servers
from tests.certificates import Certificate
from tests.conftest import had
from tests.integration.api.support import ApiServer, bootstrapped, running_api
from tests.integration.gateway import support
from tests.integration.gateway.support import Gateway, Signer


@dataclass
class Site:
    """A database with its master keys, two replicas on it, and what else a gateway in front of them needs."""

    database: servers.TestDatabase
    keys: Path
    signer: Signer
    jwks_port: int
    certificate: Certificate
    replicas: list[ApiServer] = field(default_factory=list)

    @property
    def ports(self) -> tuple[int, int]:
        one, other = (int(replica.url.rpartition(":")[2]) for replica in self.replicas)
        return one, other

    def replica(self, folder: Path) -> AbstractContextManager[ApiServer]:
        """One that believes what the gateway says of where a request comes from."""
        more = {
            "keys__file": str(self.keys),
            "api__public_url": support.PUBLIC_URL,
            "api__trusted_proxies": "127.0.0.1/32",
            "limits__anonymous_per_minute": "20",
        }
        return running_api(self.database, folder, **more)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def api_database(postgres_server: servers.PostgresServer) -> servers.TestDatabase:
    with had("gateway_server"):
        if support.ENVOY is None:
            raise servers.Missing("Envoy is not installed: `make envoy`")
    return postgres_server.create_database(SETS)


@pytest.fixture(scope="module")
async def operator_key(api_database: servers.TestDatabase) -> str:
    return await bootstrapped(api_database)


@pytest.fixture(scope="module")
def site(
    api_database: servers.TestDatabase, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    signer, keys = Signer(), master_keys.file_in(tmp_path_factory.mktemp("keys"))
    with ExitStack() as stack:
        made = Site(api_database, keys, signer, stack.enter_context(signer.serving()), certificate)
        made.replicas += [stack.enter_context(made.replica(tmp_path_factory.mktemp("api"))) for _ in range(2)]
        yield made


@pytest.fixture(scope="module")
def gateway_server(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway for all tests that leave the replicas alone."""
    folder = tmp_path_factory.mktemp("gateway")
    with support.running(
        folder, certificate=site.certificate, replicas=site.ports, jwks_port=site.jwks_port
    ) as gateway:
        yield gateway
