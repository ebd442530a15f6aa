"""Every parameter and field of every operation gets the values at which arithmetic and conversions break.

The operations are those of the OpenAPI document, so a new one is tried by being there.
"""

import copy
import itertools
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
import pytest

from billfold.kernel import ids, paging
from tests.integration.api.support import ApiServer, Caller

PREFIX = "/api/v1"
DATES = {"date", "date-time"}

#: Nothing could be reckoned with these.
REFUSED_INSTANTS = [
    *("0000-01-01", "0001-01-01", "0001-01-05", "0999-12-31", "10000-01-01"),
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00-14:00", "0999-12-31T23:59:59.999999Z"),
    *("1000-01-01T00:00:00+14:00", "9999-12-31T23:59:59.000001Z", "9999-12-31T23:59:59.999999Z"),
    *("9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.999999-23:59"),
    *("2016-12-31T23:59:60Z", "2026-02-29", "2026-01-01T24:00:01Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00"),
    *("infinity", "-infinity", "now", "epoch", "1e400", "0", "-1", ""),
]
INSTANTS = [
    *REFUSED_INSTANTS,
    *("1000-01-01", "1000-01-01T00:00:00Z", "1000-01-01T00:00:00-14:00", "1000-01-05", "1582-10-10", "1900-01-01"),
    *("1899-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z", "1970-01-01", "2026-01-01T00:00:00+14:00"),
    *("9999-12-31", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999+14:00"),
]
NO_POSITIONS: list[object] = ["", "x", None, [], {}, 10**30]
CURSORS = [
    *(paging.encode([instant, str(ids.new())]) for instant in INSTANTS),
    *(paging.encode([number, str(ids.new())]) for number in (0, -1, 10**30, 1.5)),
    *(paging.encode(UUID(int=number)) for number in (0, (1 << 128) - 1)),
    *(paging.encode(content) for content in NO_POSITIONS),
]
TEXTS = [
    *("null", "NaN", "Infinity", "-0", "1e400", "-1e400", "1e-400", "9" * 400, "0." + "0" * 300 + "1", "0x10", "1_0"),
    *(
        str(2**31),
        str(2**63),
        str(-(2**63) - 1),
        *("999999w", "999999s", "1s", "P9999Y", "USD", "outside", " ", "%", "''"),
    ),
    *(
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "\U0010ffff",
        "\x7f",
        "a" * 3_000,
    ),
]
#: As they stand in JSON.
JSON = [
    *(msgspec.json.encode(text) for text in ["", *TEXTS, "a\0b"]),
    *(b"null", b"true", b"0", b"-1", b"1e400", b"-1e400", b"1e-400", b"9" * 400, b"1.5", b"[]", b"{}", b'"\\ud800"'),
]


class World:
    """What an operator has, and the document of what they can do."""

    def __init__(self, server: ApiServer, caller: Caller) -> None:
        self.client = server.client
        self.caller = caller
        self.document: dict[str, Any] = server.client.get("/openapi.json").json()
        mine, other = self._wallet(), self._wallet()
        self._ids = {
            "wallet_id": mine,
            "hold_id": self._made("/holds", {"wallet": mine, "money": {"amount": "1.00", "asset": "USD"}}),
            "transfer_id": self._made(
                "/transfers", {"from": mine, "to": other, "money": {"amount": "1.00", "asset": "USD"}}
            ),
        }
        self._ids["transaction_id"] = self._ids["transfer_id"]
        self._known = {"wallet": mine, "from": mine, "to": other}

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Method, path and description of each."""
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                if path.startswith(PREFIX):
                    yield method.upper(), path.removeprefix(PREFIX), operation

    def path(self, template: str, **given: str) -> str:
        """The path with the ids of what is there, but for those that are given."""
        for name in [piece[1:-1] for piece in template.split("/") if piece.startswith("{")]:
            value = given.get(name, self._ids.get(name, str(ids.new())))
            template = template.replace("{" + name + "}", quote(value, safe=""))
        return template

    def body(self, operation: dict[str, Any]) -> Any:
        """The example of an operation's body, about wallets that are there."""
        (content,) = operation["requestBody"]["content"].values()
        return self._real(copy.deepcopy(content["example"]))

    def places(
        self, schema: dict[str, Any], above: tuple[str | int, ...] = ()
    ) -> Iterator[tuple[tuple[str | int, ...], bool]]:
        """Every place of a body that is described so, and whether it takes an instant."""
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if above:
            yield above, takes_instant(schema)
        for name, inner in schema.get("properties", {}).items():
            yield from self.places(inner, (*above, name))
        if isinstance(schema.get("items"), dict):
            yield from self.places(schema["items"], (*above, 0))
        for inner in schema.get("anyOf", ()):
            yield from (found for found in self.places(inner, above) if found[0] != above)

    def send(self, method: str, path: str, operation: dict[str, Any], **more: Any) -> str:
        """The code of the answer, which is one that the document has; nothing if it went well."""
        headers = {"authorization": f"Bearer {self.caller.key}", "idempotency-key": str(ids.new())}
        if "content" in more:
            headers["content-type"] = "application/json"
        with self.client.stream(method, path, headers=headers, **more) as answer:
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                return ""  # It goes on for ever.
            answer.read()
        said = f"{method} {path[:200]} {str(more)[:300]}: {answer.status_code} {answer.text[:500]}"
        assert answer.status_code < 500, said
        if answer.status_code < 400:
            return ""
        problem = answer.json()
        (described,) = operation["responses"][str(answer.status_code)]["content"].values()
        assert problem["code"] in described["examples"], f"not documented: {said}"
        return str(problem["code"])

    def _wallet(self) -> str:
        wallet = self._made("/wallets", {"name": "Edge"})
        self._made(f"/wallets/{wallet}/deposits", {"money": {"amount": "1000000.00", "asset": "USD"}})
        return wallet

    def _made(self, path: str, body: dict[str, Any]) -> str:
        answer = self.caller.post(path, body)
        assert answer.status_code == 201, answer.text
        found = answer.json()
        return str(found.get("hold", found)["id"])

    def _real(self, example: Any) -> Any:
        if isinstance(example, list):
            return [self._real(item) for item in example]
        if isinstance(example, dict):
            return {name: self._known.get(name, self._real(value)) for name, value in example.items()}
        return example


def takes_instant(schema: dict[str, Any]) -> bool:
    return schema.get("format") in DATES or any(takes_instant(inner) for inner in schema.get("anyOf", ()))


def put(body: Any, place: tuple[str | int, ...], value: bytes) -> Any:
    """The body with `value` at the place, where the body has what is above it."""
    body = copy.deepcopy(body)
    inner = body
    for name in place[:-1]:
        if isinstance(inner, dict) and isinstance(name, str):
            inner = inner.setdefault(name, {})
        elif isinstance(inner, list) and inner and isinstance(name, int):
            inner = inner[name]
        else:
            return None
    if not isinstance(inner, dict | list) or (isinstance(inner, list) and not inner):
        return None
    inner[place[-1]] = msgspec.Raw(value)  # type: ignore[index]
    return body


@pytest.fixture(scope="module")
def world(api_server: ApiServer, operator_key: str) -> Iterator[World]:
    yield World(api_server, api_server.caller(operator_key))
    assert "request failed" not in api_server.log


def test_no_query_parameter_breaks_an_operation(world: World) -> None:
    tried = set()
    for method, template, operation in world.operations():
        named = {one["name"]: one["schema"] for one in operation["parameters"] if one["in"] == "query"}
        for name, schema in named.items():
            instant = takes_instant(schema)
            values = INSTANTS if instant else CURSORS if name == "cursor" else TEXTS
            further = {"asset": "USD"} if "asset" in named and name != "asset" else {}
            for value in values:
                code = world.send(method, world.path(template), operation, params={name: value, **further})
                if instant and value in REFUSED_INSTANTS:
                    assert code == "invalid_instant", f"{template} {name}={value}: {code}"
            tried.add((template, name, instant))
    assert {name for _, name, instant in tried if instant} == {"at", "effective_at", "since", "until"}
    assert {template for template, name, _ in tried if name == "cursor"} >= {"/transactions", "/wallets", "/holds"}


def test_no_period_breaks_an_operation(world: World) -> None:
    for method, template, operation in world.operations():
        named = {one["name"] for one in operation["parameters"]}
        if {"since", "until"} <= named:
            for since, until in itertools.product(["1000-01-01", "1900-01-01", "9999-12-31"], repeat=2):
                for step in ("1s", "999999w"):
                    period = {"since": since, "until": until} | ({"step": step} if "step" in named else {})
                    world.send(method, world.path(template), operation, params=period)


def test_no_name_in_a_path_breaks_an_operation(world: World) -> None:
    for method, template, operation in world.operations():
        names = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
        content = {"content": msgspec.json.encode(world.body(operation))} if "requestBody" in operation else {}
        for name, value in itertools.product(names, TEXTS):
            assert world.send(method, world.path(template, **{name: value}), operation, **content), "nothing is there"


def test_no_field_of_a_body_breaks_an_operation(world: World) -> None:
    instants = set()
    for method, template, operation in world.operations():
        if "requestBody" not in operation:
            continue
        example = world.body(operation)
        (content,) = operation["requestBody"]["content"].values()
        for place, instant in dict(world.places(content["schema"])).items():
            for value in [msgspec.json.encode(text) for text in INSTANTS] if instant else JSON:
                changed = put(example, place, value)
                if changed is not None:
                    world.send(method, world.path(template), operation, content=msgspec.json.encode(changed))
            if instant:
                instants.add((template, place[-1]))
    assert {"/transfers", "/transfers/bulk", "/holds", "/api-keys"} <= {template for template, _ in instants}
