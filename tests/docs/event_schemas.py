"""Writes docs/reference/schemas from the events of the contexts: `python -m tests.docs.event_schemas` after a change.

With `--release` it also records them as what the release promises: from then on fields may be added to them and nothing
else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from billfold.custody import events as of_custody
from billfold.identity import events as of_people
from billfold.ledger import events as of_the_ledger
from billfold.platform.messaging import refused
from billfold.wallets import events as of_wallets

FOLDER = Path(__file__).parents[2] / "docs" / "reference" / "schemas"
RELEASED = Path(__file__).parent / "event_schemas_released.json"
#: By their types: source and payload.
PAYLOADS: Mapping[str, tuple[str, type[msgspec.Struct]]] = {
    kind: (module.SOURCE, payload)
    for module in (of_the_ledger, of_wallets, of_custody, of_people)
    for kind, payload in module.PAYLOADS.items()
} | {refused.REFUSED: (refused.SOURCE, refused.EventRefused)}
_TEXT = {"type": "string"}


def schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schema of each event, the envelope included, by type."""
    return {kind: _schema(kind, *found) for kind, found in sorted(PAYLOADS.items())}


def _schema(kind: str, source: str, payload: type[msgspec.Struct]) -> dict[str, Any]:
    (data,), definitions = msgspec.json.schema_components([payload], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "description": "Fields may be added; ignore those that you don't know.",
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "partitionkey", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": _TEXT,
            "source": {"const": source},
            "type": {"const": kind},
            "subject": _TEXT,
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"const": "application/json"},
            "partitionkey": _TEXT,
            "traceparent": _TEXT,
            "data": data,
        },
        "$defs": {name: _open(found) for name, found in sorted(definitions.items())},
    }


def _open(found: Mapping[str, Any]) -> dict[str, Any]:
    """Whoever reads must expect fields that they don't know."""
    return {name: value for name, value in found.items() if (name, value) != ("additionalProperties", False)}


def breaches(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What is in `now` not as `before` has promised."""
    for kind, schema in before.items():
        if kind in now:
            yield from _differing(kind, schema, now[kind])
        else:
            yield f"{kind} is not there any more"


def _differing(where: str, before: Any, now: Any) -> Iterator[str]:
    if not isinstance(before, dict) or not isinstance(now, dict):
        if before != now:
            yield f"{where} was {json.dumps(before)} and is {json.dumps(now)}"
        return
    for name, value in before.items():
        if name in {"title", "description"} and isinstance(value, str):
            continue
        if name == "required":
            for missing in sorted(set(value) - set(now.get(name, []))):
                yield f"{where}: {missing} is not always there any more"
        elif name not in now:
            yield f"{where}/{name} is not there any more"
        else:
            yield from _differing(f"{where}/{name}", value, now[name])
    if not where.endswith(("/properties", "/$defs")):
        for name in sorted(now.keys() - before.keys() - {"title", "description", "required"}):
            yield f"{where}/{name} is a new condition"


def write() -> None:
    """Write a file for each event, and remove those of events that there are no more."""
    FOLDER.mkdir(exist_ok=True)
    found = schemas()
    for file in FOLDER.glob("*.json"):
        if file.name.removesuffix(".json") not in found:
            file.unlink()
    for kind, schema in found.items():
        (FOLDER / f"{kind}.json").write_text(text(schema), encoding="utf-8")


def text(schema: Mapping[str, Any]) -> str:
    """As it stands in a file."""
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    write()
    if "--release" in sys.argv:
        RELEASED.write_text(text(schemas()), encoding="utf-8")
