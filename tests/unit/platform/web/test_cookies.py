"""Browsers that are logged in by cookies."""

import pytest

from billfold.platform.web.cookies import Cookies, csrf_token
from tests.unit.platform.web.example import GOOD, LOGIN, Client

THING = {"name": "spoon", "price": {"amount": "1.00", "asset": "USD"}}
CSRF = csrf_token(LOGIN)
#: A plain handler and a lean route.
PATHS = ["/api/v1/things", "/api/v1/payments"]


def cookie(value: bytes, name: str = "billfold") -> str:
    return f"{name}={value.decode()}"


@pytest.fixture
def client() -> Client:
    return Client()


async def test_a_login_reads_without_more(client: Client) -> None:
    assert (await client.call("GET", "/api/v1/things", token=None, cookie=cookie(LOGIN))).status == 200


@pytest.mark.parametrize("path", PATHS)
async def test_what_changes_something_needs_the_token_against_forgery(client: Client, path: str) -> None:
    good = await client.post(path, THING, token=None, cookie=cookie(LOGIN), x_csrf_token=CSRF)
    assert good.status == 201
    for wrong in ({}, {"x_csrf_token": ""}, {"x_csrf_token": CSRF[:-1]}, {"x_csrf_token": csrf_token(b"another")}):
        refused = await client.post(path, THING, token=None, cookie=cookie(LOGIN), **wrong)
        assert (refused.status, refused.json["code"]) == (403, "csrf_token_wrong")


@pytest.mark.parametrize("path", PATHS)
async def test_an_authorization_header_needs_none(client: Client, path: str) -> None:
    assert (await client.post(path, THING, token=LOGIN)).status == 201


async def test_a_wrong_header_is_not_made_good_by_a_cookie(client: Client) -> None:
    assert (await client.call("GET", "/api/v1/things", token=b"wrong", cookie=cookie(LOGIN))).status == 401


@pytest.mark.parametrize("value", [GOOD, b"wrong", b"", b"x" * 5000])
async def test_a_cookie_carries_a_login_and_nothing_else(client: Client, value: bytes) -> None:
    assert (await client.call("GET", "/api/v1/things", token=None, cookie=cookie(value))).status == 401


@pytest.mark.parametrize("sent", ["a=b; billfold={}", "billfold={}; a=b", "a=b, billfold={}"])
async def test_the_cookie_is_found_among_others(client: Client, sent: str) -> None:
    assert (await client.call("GET", "/api/v1/things", token=None, cookie=sent.format(LOGIN.decode()))).status == 200


@pytest.mark.parametrize("name", ["xbillfold", "billfold2", "Billfold", "__Host-billfold"])
async def test_a_cookie_of_another_name_is_none(client: Client, name: str) -> None:
    assert (await client.call("GET", "/api/v1/things", token=None, cookie=cookie(LOGIN, name))).status == 401


async def test_over_https_the_cookie_has_a_name_that_no_other_host_can_set() -> None:
    client = Client(public_url="https://api.test")
    assert (await client.call("GET", "/api/v1/things", token=None, cookie=cookie(LOGIN))).status == 401
    good = await client.call("GET", "/api/v1/things", token=None, cookie=cookie(LOGIN, "__Host-billfold"))
    assert good.status == 200


@pytest.mark.parametrize("https", [False, True])
def test_no_script_and_no_other_site_gets_at_the_cookies(*, https: bool) -> None:
    cookies = Cookies(https=https)
    for one in (*cookies.given(access_token="a", refresh_token="r", max_age=60), *cookies.taken()):
        header = one.to_header(header="")
        assert {"HttpOnly", "SameSite=strict"} <= set(header.split("; ")), header
        assert ("Secure" in header) == https
    access, refresh = (
        one.to_header(header="") for one in cookies.given(access_token="a", refresh_token="r", max_age=60)
    )
    assert "Path=/;" in access
    assert "Path=/api/v1/auth;" in refresh
    assert all("Max-Age=0" in one.to_header(header="") for one in cookies.taken())
