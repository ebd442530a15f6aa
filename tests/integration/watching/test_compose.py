"""`deploy/compose.yaml` is as Compose wants it, and speaks of settings, roles, files and services that there are.

No test starts its containers, since that takes a Docker engine. The same topology is started from processes in
`tests/crash/test_topology.py`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from billfold.app import settings
from billfold.app.cli.serve import RoleName
from billfold.app.settings import tree
from tests import servers
from tests.conftest import had

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
#: The module that Docker Compose itself is made with, and its schema with it.
COMPOSE_MODULE = "github.com/compose-spec/compose-go/v2@v2.9.0"


@pytest.fixture(scope="module")
def schema() -> Any:
    with had("schema of Compose"):
        if shutil.which("go") is None:
            raise servers.Missing("it comes as a Go module, and Go is not installed")
        command = ("go", "mod", "download", "-json", COMPOSE_MODULE)
        found = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if found.returncode:
            raise servers.Missing(f"it can't be fetched: {found.stderr or found.stdout}")
    return json.loads((Path(json.loads(found.stdout)["Dir"]) / "schema" / "compose-spec.json").read_bytes())


def test_it_is_as_the_schema_of_compose_wants_it(schema: Any) -> None:
    validator = jsonschema_rs.validator_for(schema)
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert not validator.is_valid(COMPOSE | {"services": {"api": {"imagine": "billfold"}}})


def test_each_setting_is_one_of_ours() -> None:
    known = {settings.variable(name) for name in tree.fields()}
    used = {name for service in SERVICES.values() for name in service.get("environment", {}) if "BILLFOLD" in name}
    assert used
    assert used <= known


def test_each_of_our_services_runs_a_role_and_there_are_two_of_each() -> None:
    commands = [
        service["command"]
        for service in SERVICES.values()
        if service.get("image") == "billfold" and "command" in service
    ]
    assert sorted(role for _, role in commands) == sorted(2 * ["api", "ledger", "worker"])
    assert {role for _, role in commands} <= {role.value for role in RoleName}


def test_each_file_that_is_mounted_is_there_and_each_volume_is_named() -> None:
    for service in SERVICES.values():
        for source in (volume.partition(":")[0] for volume in service.get("volumes", [])):
            assert (DEPLOY / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], source


def test_kafka_writes_into_its_volume() -> None:
    kafka = SERVICES["kafka"]
    assert [volume.partition(":")[2] for volume in kafka["volumes"]] == [kafka["environment"]["KAFKA_LOG_DIRS"]]


def test_services_wait_for_and_are_scraped_as_services_that_there_are() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    targets = {target for job in scraped for config in job["static_configs"] for target in config["targets"]}
    ours = settings.Settings()
    ports = {
        "api": ours.api.metrics_port,
        "ledger": ours.ledger.metrics_port,
        "worker": ours.worker.metrics_port,
    }
    assert targets == {
        f"{name}:{ports[name.partition('-')[0]]}" for name in SERVICES if name.partition("-")[0] in ports
    }


def test_the_gateway_is_the_one_for_production_with_the_addresses_of_here() -> None:
    (script,) = SERVICES["gateway"]["command"]
    expressions = re.findall(r"-e '([^']+)'", script)
    original = (DEPLOY / "gateway" / "envoy.yaml").read_text(encoding="utf-8")
    sed = ["sed", *(word for expression in expressions for word in ("-e", expression))]
    changed = subprocess.run(sed, input=original, capture_output=True, text=True, check=True).stdout
    (cluster,) = yaml.safe_load(changed)["static_resources"]["clusters"]
    (endpoints,) = cluster["load_assignment"]["endpoints"]
    addresses = [one["endpoint"]["address"]["socket_address"] for one in endpoints["lb_endpoints"]]
    assert addresses == [{"address": name, "port_value": 8080} for name in ("api-1", "api-2")]
    assert cluster["type"] == "STRICT_DNS"
    assert "wallets.example.com" not in changed


def test_nothing_but_the_doors_is_open_and_only_to_this_machine() -> None:
    opened = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert all(port.startswith("127.0.0.1:") for ports in opened.values() for port in ports)
    assert not set(opened) & {"postgres", "redis", "nats", "kafka", "rabbitmq", "cassandra"}
