"""What a running stack says about itself."""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests import ledgers

TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Running:
    """The OpenAPI document, and the metrics of each role."""

    openapi: dict[str, Any]
    metrics: Mapping[str, list[Metric]]


def look(environment: Mapping[str, str]) -> Running:
    """Ask the stack of this environment, and a role `ledger` beside it."""
    record = json.loads((Path(environment["BILLFOLD_DATA"]) / "stack.json").read_text(encoding="utf-8"))
    metrics = {role: _metrics(_get(url)) for role, url in record["metrics_urls"].items()}
    if "ledger" not in metrics:
        with (
            tempfile.TemporaryDirectory() as folder,
            ledgers.serving(record["postgres_dsn"], Path(folder)) as server,
        ):
            metrics["ledger"] = _metrics(server.metrics())
    return Running(openapi=json.loads(_get(f"{record['api_url']}/api/v1/openapi.json")), metrics=metrics)


def _metrics(text: str) -> list[Metric]:
    return sorted(text_string_to_metric_families(text), key=lambda metric: metric.name)


def _get(url: str) -> str:
    with urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - an address of our own stack.
        text: str = answer.read().decode()
        return text
