import pytest

from billfold.platform.rpc import addresses


@pytest.mark.parametrize(
    ("text", "target", "is_local"),
    [
        ("unix:/run/billfold/ledger.sock", "unix:/run/billfold/ledger.sock", True),
        ("127.0.0.1:8090", "ipv4:127.0.0.1:8090", True),
        ("127.3.2.1:8090", "ipv4:127.3.2.1:8090", True),
        ("[::1]:8090", "ipv6:[::1]:8090", True),
        ("localhost:8090", "dns:///localhost:8090", True),
        ("10.0.0.7:8090", "ipv4:10.0.0.7:8090", False),
        ("0.0.0.0:8090", "ipv4:0.0.0.0:8090", False),
        ("[::]:8090", "ipv6:[::]:8090", False),
        ("ledger.internal:8090", "dns:///ledger.internal:8090", False),
    ],
)
def test_an_address_is_a_socket_or_a_host_with_a_port(text: str, target: str, is_local: bool) -> None:  # noqa: FBT001
    found = addresses.parse(text)
    assert (found.target, found.is_local) == (target, is_local)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ledger",
        "ledger:",
        ":8090",
        "ledger:99999",
        "ledger:80 90",
        "http://ledger:8090",
        "unix:ledger.sock",
        "unix:",
        "unix:/" + 110 * "x",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its text is for people.
        addresses.parse(text)


def test_several_are_separated_by_commas_and_each_is_another() -> None:
    found = addresses.parse_all("127.0.0.1:8090, 127.0.0.1:8091")
    assert [address.port for address in found] == [8090, 8091]
    with pytest.raises(ValueError, match="twice"):
        addresses.parse_all("127.0.0.1:8090,127.0.0.1:8090")
