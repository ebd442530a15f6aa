"""Browsers that are logged in by cookies."""

import pytest

from billfold.platform.web.cookies import Cookies, csrf_token
from billfold.platform.web.errors import CrossSite
from tests.unit.platform.web.example import GOOD, LOGIN, Client

THING = {"name": "spoon", "price": {"amount": "1.00", "asset": "USD"}}
CSRF = csrf_token(LOGIN)
#: A plain handler and a lean route.
PATHS = ["/api/v1/things", "/api/v1/payments"]


def cookie(value: bytes, name: str = "billfold") -> str:
    return f"{name}={value.decode()}"


@pytest.fixture(scope="module")
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


#: What browsers say of a request that a page of ours has made, and of others.
OWN = [
    {"sec_fetch_site": "same-origin", "origin": "http://api.test"},
    {"sec_fetch_site": "none"},
    {"origin": "http://api.test", "host": "api.test"},
    {"origin": "https://api.test:8443", "host": "api.test:8443"},
    {"host": "api.test"},
]
FOREIGN = [
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "cross-site", "origin": "http://api.test", "host": "api.test"},
    {"sec_fetch_site": "same-origin, cross-site"},
    {"sec_fetch_site": ""},
    {"origin": "http://evil.test", "host": "api.test"},
    {"origin": "http://api.test:8080", "host": "api.test"},
    {"origin": "http://api.test.evil.test", "host": "api.test"},
    {"origin": "null", "host": "api.test"},
    {"origin": "http://api.test"},
    {"origin": ""},
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sent", OWN)
async def test_a_page_of_ours_changes_something(client: Client, path: str, sent: dict[str, str]) -> None:
    assert (await client.post(path, THING, token=None, cookie=cookie(LOGIN), x_csrf_token=CSRF, **sent)).status == 201


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("sent", FOREIGN)
async def test_a_page_of_another_site_changes_nothing_whatever_token_it_has(
    client: Client, path: str, sent: dict[str, str]
) -> None:
    refused = await client.post(path, THING, token=None, cookie=cookie(LOGIN), x_csrf_token=CSRF, **sent)
    assert (refused.status, refused.json["code"]) == (403, "cross_site")
    by_header = await client.post(path, THING, token=LOGIN, **sent)
    assert by_header.status == 201, "no browser adds that header by itself"


@pytest.mark.parametrize("sent", FOREIGN)
def test_a_page_of_another_site_uses_up_no_refresh_token(sent: dict[str, str]) -> None:
    cookies, headers = Cookies(https=False), {b"cookie": b"billfold-refresh=bfr_x"}
    assert cookies.refresh_in(headers) == "bfr_x"
    with pytest.raises(CrossSite):
        cookies.refresh_in(headers | {name.replace("_", "-").encode(): value.encode() for name, value in sent.items()})


@pytest.mark.parametrize("path", ["/docs", "/api/v1/motd", "/healthz"])
async def test_a_cookie_that_is_no_good_any_more_is_no_obstacle_where_none_is_needed(client: Client, path: str) -> None:
    assert (await client.call("GET", path, token=None, cookie=cookie(b"expired"))).status == 200


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
