"""Whatever is wrong with a request has its own code, and a pointer to the place. Both kinds of routes say the same."""

import asyncio

import pytest

from billfold.platform.web import decoding, errors
from tests.unit.platform.web.example import GOOD, Client

PRICE = b'"price":{"amount":"1.00","asset":"USD"}'
KINDS = pytest.mark.parametrize("path", ["/api/v1/things", "/api/v1/payments"])


@pytest.fixture(scope="module")
def client() -> Client:
    return Client()


BODIES = {
    b"": (400, "malformed_json", None),
    b"   ": (400, "malformed_json", None),
    b"{": (400, "malformed_json", None),
    b'{"name":"a",%b} x' % PRICE: (400, "malformed_json", None),
    b"nonsense": (400, "malformed_json", None),
    b'{"name":NaN}': (400, "malformed_json", None),
    b'{"name":Infinity}': (400, "malformed_json", None),
    b'{"name":"\xff"}': (400, "malformed_json", None),
    b'{"name":"\\ud800"}': (400, "malformed_json", None),
    b"{'name':'a'}": (400, "malformed_json", None),
    b"[" * 40: (400, "nesting_too_deep", None),
    b'{"name":' + b"[" * 200 + b"]" * 200 + b"}": (400, "nesting_too_deep", None),
    b'{"weight":' + b'{"a":' * 60: (400, "nesting_too_deep", None),
    b'{"name":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",%b}' % PRICE: (422, "invalid_value", "/name"),
    b"[]": (422, "wrong_type", ""),
    b"null": (422, "wrong_type", ""),
    b'"text"': (422, "wrong_type", ""),
    b'{"name":1,%b}' % PRICE: (422, "wrong_type", "/name"),
    b'{"name":null,%b}' % PRICE: (422, "wrong_type", "/name"),
    b'{"name":"a","price":"1.00"}': (422, "wrong_type", "/price"),
    b'{"name":"a","price":{"amount":1,"asset":"USD"}}': (422, "wrong_type", "/price/amount"),
    b'{"name":"a","price":{"amount":1e40,"asset":"USD"}}': (422, "wrong_type", "/price/amount"),
    b'{"name":"a","weight":"7",%b}' % PRICE: (422, "wrong_type", "/weight"),
    b'{"name":"a","weight":true,%b}' % PRICE: (422, "wrong_type", "/weight"),
    b'{"name":"a","tags":["x",2],%b}' % PRICE: (422, "wrong_type", "/tags/1"),
    b'{"name":"a"}': (422, "missing_field", "/price"),
    b'{"name":"a","price":{"amount":"1"}}': (422, "missing_field", "/price/asset"),
    b'{"name":"a","colour":"red",%b}' % PRICE: (422, "unknown_field", "/colour"),
    b'{"name":"a","a/b~c":1,%b}' % PRICE: (422, "unknown_field", "/a~1b~0c"),
    b'{"name":"a","price":{"amount":"1","asset":"USD","scale":2}}': (422, "unknown_field", "/price/scale"),
    b'{"name":"longer than ten",%b}' % PRICE: (422, "invalid_value", "/name"),
    b'{"name":"a","tags":["1","2","3","4"],%b}' % PRICE: (422, "invalid_value", "/tags"),
    b'{"name":"a","notes":{"n":"too long"},%b}' % PRICE: (422, "invalid_value", "/notes"),
}


@KINDS
@pytest.mark.parametrize("body", BODIES)
async def test_each_way_of_being_wrong_has_its_code_and_place(client: Client, path: str, body: bytes) -> None:
    status, code, pointer = BODIES[body]
    reply = await client.post(path, body)
    assert (reply.status, reply.json["code"]) == (status, code), reply.json
    assert [fault["pointer"] for fault in reply.json["errors"]] == ([pointer] if pointer is not None else [])


@KINDS
@pytest.mark.parametrize("amount", [b"1.5", b"1"])
async def test_an_amount_that_is_a_json_number_is_told_to_be_written_as_text(
    client: Client, path: str, amount: bytes
) -> None:
    reply = await client.post(path, b'{"name":"a","price":{"amount":%b,"asset":"USD"}}' % amount)
    assert reply.json["detail"] == 'A number stands where a text belongs; put it in quotes: "1.5".'


@KINDS
async def test_of_a_key_that_stands_twice_the_last_counts(client: Client, path: str) -> None:
    reply = await client.post(path, b'{"name":"a","name":"b",%b}' % PRICE)
    assert reply.json["name"] == "b"


@KINDS
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=latin-1",
        "application/jsonp",
        "json",
    ],
)
async def test_another_content_type_is_not_taken(client: Client, path: str, content_type: str) -> None:
    reply = await client.post(path, b'{"name":"a",%b}' % PRICE, content_type=content_type)
    assert (reply.status, reply.json["code"]) == (415, "unsupported_media_type")


@KINDS
async def test_no_content_type_is_not_taken(client: Client, path: str) -> None:
    reply = await client.call("POST", path, body=b"{}", idempotency_key="k")
    assert (reply.status, reply.json["code"]) == (415, "unsupported_media_type")


@KINDS
@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_in_utf_8_is_taken_however_it_is_said(client: Client, path: str, content_type: str) -> None:
    reply = await client.post(path, b'{"name":"a",%b}' % PRICE, content_type=content_type)
    assert reply.status == 201


@KINDS
@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip", "x"])
async def test_a_body_that_is_declared_as_encoded_is_not_taken(client: Client, path: str, encoding: str) -> None:
    reply = await client.post(path, b'{"name":"a",%b}' % PRICE, content_encoding=encoding)
    assert (reply.status, reply.json["code"]) == (415, "unsupported_content_encoding")
    assert reply.headers["accept-encoding"] == "identity"


@KINDS
@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_a_body_that_is_declared_as_it_is_is_taken(client: Client, path: str, encoding: str) -> None:
    assert (await client.post(path, b'{"name":"a",%b}' % PRICE, content_encoding=encoding)).status == 201


@KINDS
@pytest.mark.parametrize(
    ("again", "answered"),
    [
        ((b"idempotency-key", b"k2"), (400, "invalid_idempotency_key")),
        ((b"idempotency-key", b"k1"), (400, "invalid_idempotency_key")),
        ((b"authorization", b"Bearer " + GOOD), (401, "unauthorized")),
        ((b"content-type", b"application/json"), (415, "unsupported_media_type")),
        ((b"accept", b"text/plain"), (201, None)),
        ((b"x-request-id", b"another"), (201, None)),
    ],
)
async def test_a_header_that_stands_twice_is_one_list(
    client: Client, path: str, again: tuple[bytes, bytes], answered: tuple[int, str | None]
) -> None:
    reply = await client.post(
        path, b'{"name":"a",%b}' % PRICE, more_headers=[again], accept="application/json", x_request_id="one"
    )
    assert (reply.status, reply.json.get("code")) == answered


async def test_a_body_that_is_declared_too_large_is_not_read(client: Client) -> None:
    reply = await client.post("/api/v1/payments", b"", content_length="1001")
    assert (reply.status, reply.json["code"]) == (413, "body_too_large")


async def test_a_body_that_grows_too_large_is_cut_off(client: Client) -> None:
    pieces = [b" " * 400] * 3
    reply = await client.call(
        "POST", "/api/v1/payments", pieces=pieces, content_type="application/json", idempotency_key="k"
    )
    assert (reply.status, reply.json["code"]) == (413, "body_too_large")


async def test_nobody_is_answered_who_hangs_up_in_the_middle(client: Client) -> None:
    for path in ("/api/v1/payments", "/api/v1/things"):
        reply = await client.call("POST", path, pieces=[b"{"], content_type="application/json", idempotency_key="k")
        assert reply.status == 0


async def test_a_body_in_pieces_is_put_together(client: Client) -> None:
    whole = b'{"name":"a",%b}' % PRICE
    reply = await client.call(
        "POST", "/api/v1/payments", pieces=[whole[:10], whole[10:], b""], content_type="application/json",
        idempotency_key="k",
    )  # fmt: skip
    assert reply.json["name"] == "a"


async def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "BODY_TIMEOUT_S", 0.01)

    async def receive() -> dict[str, object]:
        await asyncio.sleep(0.001)
        return {"type": "http.request", "body": b" ", "more_body": True}

    with pytest.raises(errors.RequestTimeout):
        await decoding.read(receive, {b"content-type": b"application/json"})


@KINDS
@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency_key_missing"),
        ("", "invalid_idempotency_key"),
        ("x" * 256, "invalid_idempotency_key"),
        ("ключ", "invalid_idempotency_key"),
    ],
)
async def test_an_idempotency_key_is_wanted_and_sane(client: Client, path: str, key: str | None, code: str) -> None:
    reply = await client.post(path, b'{"name":"a",%b}' % PRICE, key=key)
    assert (reply.status, reply.json["code"]) == (400, code)


@KINDS
@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        (b"limit=0", "invalid_query_parameter", "limit"),
        (b"limit=101", "invalid_query_parameter", "limit"),
        (b"limit=ten", "invalid_query_parameter", "limit"),
        (b"limit=", "invalid_query_parameter", "limit"),
        (b"limit=1&limit=2", "invalid_query_parameter", "limit"),
        (b"shape=null", "invalid_query_parameter", "shape"),
        (b"shape=NULL", "invalid_query_parameter", "shape"),
        (b"colour=a%00b", "invalid_query_parameter", "colour"),
        (b"limt=1", "unknown_query_parameter", "limt"),
        (b"x", "unknown_query_parameter", "x"),
        (b"limit=%ff", "invalid_query_parameter", None),
        (b"\xff", "invalid_query_parameter", None),
        (b"&".join(b"colour=%d" % number for number in range(60)), "invalid_query_parameter", None),
        (b"colour=" + b"x" * 9000, "invalid_query_parameter", None),
    ],
)
async def test_a_wrong_query_is_refused(
    client: Client, path: str, query: bytes, code: str, parameter: str | None
) -> None:
    reply = await client.call("GET", path, query=query)
    assert (reply.status, reply.json["code"]) == (400, code)
    assert [fault["parameter"] for fault in reply.json["errors"]] == ([parameter] if parameter else [])


async def test_a_text_may_be_null(client: Client) -> None:
    assert (await client.call("GET", "/api/v1/things", query=b"maker=null")).status == 200


async def test_a_misspelt_parameter_is_told_the_right_name(client: Client) -> None:
    reply = await client.call("GET", "/api/v1/things", query=b"limt=1")
    assert "did you mean limit?" in reply.json["detail"]


@pytest.mark.parametrize("path", ["/api/v1/things", "/api/v1/payments", "/api/v1/things/7/pay"])
async def test_where_no_parameter_is_known_any_is_refused(client: Client, path: str) -> None:
    reply = await client.post(path + "", {}, query=b"dry_run=1")
    assert (reply.status, reply.json["code"]) == (400, "unknown_query_parameter")


async def test_a_parameter_that_may_stand_twice_is_a_list(client: Client) -> None:
    reply = await client.call("GET", "/api/v1/things", query=b"colour=red&colour=green&limit=2")
    assert len(reply.json["items"]) == 2
