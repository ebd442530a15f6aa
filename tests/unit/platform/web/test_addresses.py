"""Where a request comes from, and whom it is believed from."""

import time
from typing import Any

import pytest

from billfold.platform.web.addresses import HOPS_MAX, Addresses

PROXY, OUTER_PROXY = "10.0.0.1", "172.16.0.1"
TRUSTED = "10.0.0.0/8, 172.16.0.0/12,fd00::/8"


def scope(peer: str | None, *values: str, header: str = "x-forwarded-for") -> Any:
    headers = [(header.encode(), value.encode("latin-1")) for value in values]
    return {"client": None if peer is None else (peer, 1234), "headers": [(b"host", b"x"), *headers]}


def found(peer: str | None, *values: str) -> str:
    return Addresses(TRUSTED).of(scope(peer, *values))


def test_without_proxies_it_is_who_connects() -> None:
    assert Addresses().of(scope("192.0.2.1", "198.51.100.1")) == "192.0.2.1"


def test_a_stranger_is_not_believed() -> None:
    assert found("192.0.2.1", "198.51.100.1") == "192.0.2.1"


def test_our_proxy_is_believed() -> None:
    assert found(PROXY, "198.51.100.1") == "198.51.100.1"


@pytest.mark.parametrize(
    "forged", ["203.0.113.9", "10.9.9.9", "garbage", "", ",,,", '"', "203.0.113.9:80", "unknown", "::1", "\xff"]
)
def test_what_a_client_writes_itself_is_not_looked_at(forged: str) -> None:
    assert found(PROXY, f"{forged}, 198.51.100.1") == "198.51.100.1"
    assert found(PROXY, forged, "198.51.100.1") == "198.51.100.1"
    assert found(PROXY, f"{forged}, 198.51.100.1, {OUTER_PROXY}") == "198.51.100.1"


def test_all_of_ours_in_a_row_are_the_first_of_them() -> None:
    assert found(PROXY, f"10.0.0.7, {OUTER_PROXY}") == "10.0.0.7"


@pytest.mark.parametrize("said", ["", "garbage", "unknown", "_hidden", "198.51.100", "198.51.100.1.1", "a" * 5000])
def test_what_our_proxy_says_and_nobody_understands_counts_for_the_proxy(said: str) -> None:
    assert found(PROXY, said) == PROXY
    assert found(PROXY, f"198.51.100.1, {said}, {OUTER_PROXY}") == OUTER_PROXY


def test_without_the_header_it_is_the_proxy() -> None:
    assert found(PROXY) == PROXY


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("198.51.100.1:4711", "198.51.100.1"),
        (" 198.51.100.1 ", "198.51.100.1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_addresses_are_written_in_many_ways(text: str, address: str) -> None:
    assert found(PROXY, text) == address


def test_all_addresses_of_one_network_are_one() -> None:
    assert Addresses().of(scope("2001:db8:1:2::a")) == Addresses().of(scope("2001:db8:1:2:ffff::b"))
    assert Addresses().of(scope("2001:db8:1:2::a")) != Addresses().of(scope("2001:db8:1:3::a"))


def test_an_address_that_is_mapped_is_trusted_as_what_it_is() -> None:
    assert found("::ffff:10.0.0.1", "198.51.100.1") == "198.51.100.1"


@pytest.mark.parametrize("peer", [None, "", "testclient"])
def test_no_address_is_one_too(peer: str | None) -> None:
    assert found(peer, "198.51.100.1") == "unknown"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("for=198.51.100.1", "198.51.100.1"),
        ('For="[2001:db8:1:2::9]:4711"', "2001:db8:1:2::/64"),
        ("proto=https;for=198.51.100.1;by=10.0.0.1", "198.51.100.1"),
        ("for=203.0.113.9, for=198.51.100.1;proto=https", "198.51.100.1"),
        ("for=203.0.113.9, for=198.51.100.1, For=10.0.0.3", "198.51.100.1"),
        ("for=unknown", PROXY),
        ("for=_secret", PROXY),
        ("proto=https", PROXY),
        ("198.51.100.1", PROXY),
        ("notfor=198.51.100.1", PROXY),
    ],
)
def test_the_standard_header_is_read_where_it_is_the_one(value: str, address: str) -> None:
    addresses = Addresses(TRUSTED, header="forwarded")
    assert addresses.of(scope(PROXY, value, header="forwarded")) == address


def test_the_other_header_is_anybodys_and_not_read() -> None:
    both = scope(PROXY, "198.51.100.1")
    both["headers"].append((b"forwarded", b"for=203.0.113.9"))
    assert Addresses(TRUSTED).of(both) == "198.51.100.1"
    assert Addresses(TRUSTED, header="forwarded").of(both) == "203.0.113.9"


def test_a_header_without_end_is_read_from_its_end_only() -> None:
    assert found(PROXY, ", ".join(["198.51.100.1"] + [OUTER_PROXY] * HOPS_MAX)) == OUTER_PROXY
    for long in ("1," * 16_000, "10.0.0.1," * 3_500, '"' * 32_000, "for=" * 8_000):
        started = time.process_time()
        for header in ("x-forwarded-for", "forwarded"):
            Addresses(TRUSTED, header=header).of(scope(PROXY, long, header=header))
        assert time.process_time() - started < 0.5


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "10.0.0.1/8", "proxy.example.com", "10.0.0.0/8;172.16.0.0/12"])
def test_a_network_that_is_none_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0|proxy"):
        Addresses(wrong)
