"""The document says what the routes do, whichever kind they are."""

import re
from typing import Any

import pytest

from billfold.kernel import errors
from billfold.platform.web import problems
from tests.unit.platform.web.example import Client, TooHeavy


@pytest.fixture(scope="module")
async def document() -> Any:
    return (await Client().call("GET", "/api/v1/openapi.json", token=None)).json


def test_it_is_openapi_3_1(document: Any) -> None:
    assert document["openapi"] == "3.1.0"
    assert document["info"]["version"] == "1.2.3"
    assert document["servers"] == [{"url": "http://api.test"}]


def test_both_kinds_of_routes_are_there(document: Any) -> None:
    assert {(path, method) for path, methods in document["paths"].items() for method in methods} == {
        ("/api/v1/motd", "get"),
        ("/api/v1/payments", "get"),
        ("/api/v1/payments", "post"),
        ("/api/v1/things", "get"),
        ("/api/v1/things", "post"),
        ("/api/v1/things/{thing_id}", "get"),
        ("/api/v1/things/{thing_id}/pay", "post"),
    }


def test_the_same_type_has_one_schema(document: Any) -> None:
    plain, lean = document["paths"]["/api/v1/things"]["post"], document["paths"]["/api/v1/payments"]["post"]
    assert plain["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/NewThing"}
    assert (
        plain["requestBody"]["content"]["application/json"]["schema"]
        == (lean["requestBody"]["content"]["application/json"]["schema"])
    )
    assert document["components"]["schemas"]["NewThing"]["additionalProperties"] is False


def test_a_page_is_named_after_its_items(document: Any) -> None:
    answer = document["paths"]["/api/v1/things"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ThingPage"}
    items = document["components"]["schemas"]["ThingPage"]["properties"]["items"]
    assert items["items"] == {"$ref": "#/components/schemas/Thing"}


def test_every_reference_leads_somewhere(document: Any) -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [found for value in part.values() for found in references(value)]
        return [found for value in part for found in references(value)] if isinstance(part, list) else []

    found = references(document)
    assert found
    for reference in found:
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_a_query_is_told_parameter_by_parameter(document: Any) -> None:
    (limit, colour, shape, maker) = document["paths"]["/api/v1/things"]["get"]["parameters"]
    assert limit["name"] == "limit"
    assert (limit["in"], limit["required"], limit["description"]) == ("query", False, "How many at most.")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}
    assert colour["schema"]["type"] == "array"
    # A text of a query is there or not; there is no null in it.
    assert shape["schema"] == {"enum": ["flat", "round"]}
    assert (maker["schema"], maker["description"]) == ({"type": "string"}, "Who has made it.")
    assert "ThingList" not in document["components"]["schemas"]


def test_a_key_is_demanded_where_one_is_needed(document: Any) -> None:
    for path in ("/api/v1/things", "/api/v1/payments"):
        (key,) = document["paths"][path]["post"]["parameters"]
        assert (key["name"], key["in"], key["required"]) == ("Idempotency-Key", "header", True)
    (thing, key) = document["paths"]["/api/v1/things/{thing_id}/pay"]["post"]["parameters"]
    assert (thing["name"], thing["in"]) == ("thing_id", "path")


def test_credentials_and_scope_are_told(document: Any) -> None:
    assert document["paths"]["/api/v1/payments"]["post"]["security"] == [{"api_key": ["money:write"]}]
    assert document["paths"]["/api/v1/motd"]["get"]["security"] == []


def codes(operation: Any) -> dict[str, set[str]]:
    found = {}
    for status, answer in operation["responses"].items():
        if "application/problem+json" in answer["content"]:
            schema = answer["content"]["application/problem+json"]["schema"]
            found[status] = set(schema["allOf"][1]["properties"]["code"]["enum"])
    return found


def test_every_error_of_an_operation_is_told(document: Any) -> None:
    told = codes(document["paths"]["/api/v1/payments"]["post"])
    assert told["401"] == {"unauthorized"}
    assert told["403"] == {"missing_scope", "cross_site", "csrf_token_wrong"}
    assert told["413"] == {"body_too_large"}
    assert told["415"] == {"unsupported_media_type", "unsupported_content_encoding"}
    assert {"too_heavy", "unknown_field", "missing_field", "wrong_type", "invalid_value"} <= told["422"]
    assert {"malformed_json", "nesting_too_deep", "idempotency_key_missing", "unknown_query_parameter"} <= told["400"]
    assert "database_unavailable" in told["503"]
    assert "internal_error" in told["500"]
    assert codes(document["paths"]["/api/v1/motd"]["get"]).keys() == {"400", "429", "500", "503"}


def test_each_error_has_an_example(document: Any) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            for found in codes(operation).values():
                assert found <= document["components"]["examples"].keys()


async def test_each_error_is_explained_where_its_type_points() -> None:
    client = Client()
    client.shelf.fails_with = TooHeavy()
    reply = await client.post("/api/v1/things", {"name": "a", "price": {"amount": "1", "asset": "USD"}})
    address, _, anchor = reply.json["type"].partition("#")
    page = await client.call("GET", address.removeprefix("http://api.test"), token=None)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert f'<tr id="{anchor}">'.encode() in page.body


async def test_the_page_of_errors_shows_code_as_code_and_leads_to_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TooHeavy, "sentence", classmethod(lambda _: "Send `a <b>` or `c`."))
    page = await Client().call("GET", "/docs/errors", token=None)
    assert b"`" not in page.body
    assert b"Send <code>a &lt;b&gt;</code> or <code>c</code>." in page.body
    assert b'<a href="/api/v1/openapi.json">' in page.body


def test_every_error_there_is_has_a_status() -> None:
    for error in errors.catalogue():
        assert problems.status_of(error) >= 400
        assert re.fullmatch(r"[a-z][a-z0-9_]*", error.code), error.code


@pytest.mark.parametrize("path", ["/docs", "/docs/errors"])
async def test_the_pages_ask_no_third_party(path: str) -> None:
    client = Client()
    page = await client.call("GET", path, token=None)
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert b"<script>" not in page.body
    assert b"style=" not in page.body
    linked = re.findall(rb'(?:src|href)="([^"#]+)"', page.body)
    assert linked
    for link in linked:
        assert link.startswith(b"/")
        reply = await client.call("GET", link.decode(), token=None)
        assert reply.status == 200
        assert b"://" not in reply.body.replace(b"http://www.w3.org/2000/svg", b"") or link == b"/api/v1/openapi.json"
