"""The search for secrets must be able to find one."""

import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest

from tests.canary import Planted

SECRET = 'kestrel/"42"+ö?w1ng-5c1d3d'


def found(place: bytes | str, **more: frozenset[str]) -> list[str]:
    planted = Planted()
    planted.plant("password", SECRET)
    return [finding.secret for finding in planted.search("somewhere", place, **more)]


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize(
    "leak",
    [
        SECRET.encode(),
        quote(SECRET, safe="").encode(),
        json.dumps({"password": SECRET}).encode(),
        repr(SECRET.encode()).encode(),
        SECRET.encode().hex().encode(),
        SECRET.encode().hex().upper().encode(),
    ],
)
def test_a_secret_is_found_in_each_form_that_text_may_have(leak: bytes, before: str) -> None:
    assert found(before.encode() + leak + b" and more") == ["password"]


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "ada:"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_a_secret_is_found_within_base64_whatever_stands_around_it(encode: object, before: str, after: str) -> None:
    assert callable(encode)
    assert found(b"Basic " + encode((before + SECRET + after).encode())) == ["password"]


def test_a_secret_is_found_in_a_large_file_of_anything() -> None:
    assert found(bytes(range(256)) * 40_000 + SECRET.encode() + b"\xff" * 1_000) == ["password"]


@pytest.mark.parametrize("text", ["", "kestrel", SECRET[:-1], SECRET.upper(), "x" * 1_000])
def test_what_is_not_the_secret_is_not_found(text: str) -> None:
    assert found(text) == []


def test_a_place_where_a_secret_belongs_is_excused_for_that_one() -> None:
    assert found(SECRET, but=frozenset({"password"})) == []
    assert found(SECRET, but=frozenset({"token"})) == ["password"]


def test_what_is_found_is_told_without_being_told() -> None:
    planted = Planted()
    planted.plant("password", SECRET)
    (finding,) = planted.search("the log", f"login failed: {SECRET} is wrong")
    assert str(finding) == "password (as it is) in the log: login failed: [password] is wrong"


def test_a_code_of_digits_is_one_only_where_it_stands_alone() -> None:
    planted = Planted()
    planted.plant("code", "81726354")
    assert planted.search("a log", "code=81726354, or 81726354")
    for chance in ("1181726354", "0.81726354", "a81726354b", "81726354-0000", "2026-81726354"):
        assert planted.search("numbers", chance) == []


def test_several_secrets_of_a_name_are_all_looked_for() -> None:
    planted = Planted()
    for secret in ("first-secret", "second-secret", "first-secret"):
        planted.plant("token", secret)
    assert [finding.secret for finding in planted.search("x", "second-secret first-secret")] == ["token", "token#2"]
    assert planted.search("x", "second-secret", but=frozenset({"token"})) == []


def test_bytes_that_are_no_text_are_found_too() -> None:
    key = bytes(range(200, 232))
    planted = Planted()
    planted.plant("master key", key)
    assert planted.search("a page", b"\x00" + key + b"\x00")
    assert planted.search("a column", f"\\x{key.hex()}")
    assert planted.search("a log", f"key={key!r}")
    assert planted.search("a header", b64encode(b"id:" + key))
