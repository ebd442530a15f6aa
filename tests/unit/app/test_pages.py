"""Where people's pages are: at a name, so that browsers keep passkeys for them."""

import pytest

from billfold.app import pages


@pytest.mark.parametrize(
    ("api", "page"),
    [
        ("http://127.0.0.1:8080", "http://localhost:8080/account"),
        ("https://[::1]:8443", "https://localhost:8443/account"),
        ("http://127.0.0.1", "http://localhost/account"),
        ("http://localhost:8080", "http://localhost:8080/account"),
        ("https://pay.example.com/money", "https://pay.example.com/money/account"),
        ("http://10.0.0.7:8080", "http://10.0.0.7:8080/account"),
    ],
)
def test_the_page_of_accounts_is_at_a_name(api: str, page: str) -> None:
    assert pages.account(api) == page
