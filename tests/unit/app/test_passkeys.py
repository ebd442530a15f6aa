"""Whom passkeys are for, by the settings."""

from __future__ import annotations

import pytest

from billfold.app import settings
from billfold.app.passkeys import relying_party
from billfold.app.settings import tree


def party(**values: object) -> tuple[str, tuple[str, ...]]:
    found = relying_party(tree.build({name.replace("__", "."): value for name, value in values.items()}))
    return found.id, found.origins


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ("localhost", ("http://localhost:8080",))),
        ({"api__port": 9000}, ("localhost", ("http://localhost:9000",))),
        ({"api__public_url": "http://[::1]:8080"}, ("localhost", ("http://localhost:8080",))),
        ({"api__public_url": "https://pay.example.com/"}, ("pay.example.com", ("https://pay.example.com",))),
        (
            {"api__public_url": "https://api.example.com", "webauthn__rp_id": "example.com"},
            ("example.com", ("https://api.example.com",)),
        ),
        (
            {
                "api__public_url": "https://api.example.com",
                "webauthn__rp_id": "example.com",
                "webauthn__origins": "https://app.example.com, https://example.com:8443",
            },
            ("example.com", ("https://app.example.com", "https://example.com:8443")),
        ),
    ],
)
def test_it_is_where_the_pages_are(values: dict[str, object], expected: tuple[str, tuple[str, ...]]) -> None:
    assert party(**values) == expected


@pytest.mark.parametrize(
    "values",
    [
        {"webauthn__rp_id": "https://example.com"},
        {"webauthn__rp_id": "example.com:8080"},
        {"webauthn__rp_id": "example.com", "webauthn__origins": "https://example.com/"},
        {"webauthn__rp_id": "example.com", "webauthn__origins": "https://evilexample.com"},
        {"webauthn__rp_id": "example.com", "webauthn__origins": "https://example.com,"},
        {"webauthn__origins": "https://example.com"},
    ],
)
def test_what_can_be_none_is_told_at_the_start(values: dict[str, object]) -> None:
    with pytest.raises(settings.SettingInvalid, match="webauthn"):
        party(**values)
