"""The file of providers: what is wrong in it is said at the start, in words."""

from pathlib import Path

import pytest

from billfold.app import oidc, settings
from billfold.identity import OtherProviders

GOOD = """
[[provider]]
name = "keycloak"
title = "Example Ltd"
issuer = "https://id.example.com/realms/billfold"
client_id = "billfold"
client_secret_file = "secret"
login = true
second_factor_acr = ["2", "gold"]
accept_tokens = true
audience = "billfold"
services = ["shop"]
roles_claim = "realm_access.roles"

[provider.roles]
pruefer = "auditor"
"""
MINIMAL = """
[[provider]]
name = "two"
title = "Two"
issuer = "https://two.example.com"
client_id = "billfold"
login = true
"""


def read(folder: Path, text: str, *, loopback: bool = False) -> OtherProviders:
    (folder / "secret").write_text("word\n")
    file = folder / "providers.toml"
    file.write_text(text)
    return oidc.providers(settings.Oidc(file=file, allow_loopback=loopback), public_url="https://pay.example.com")


def test_without_a_file_there_are_no_providers() -> None:
    assert not oidc.providers(settings.Oidc(), public_url="https://pay.example.com").configured


def test_a_provider_is_what_the_file_says(tmp_path: Path) -> None:
    keycloak, two = read(tmp_path, GOOD + MINIMAL).configured
    assert keycloak.client_secret == "word"
    assert keycloak.roles_claim == ("realm_access", "roles")
    assert keycloak.roles == {"pruefer": "auditor"}
    assert keycloak.services == {"shop"}
    assert [sorted(one.second_factor_acr) for one in (keycloak, two)] == [["2", "gold"], []]
    assert (two.client_secret, two.roles, two.accept_tokens, two.scopes) == (
        None,
        {},
        False,
        ("openid", "profile", "email"),
    )
    assert "word" not in repr(keycloak)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "Example Ltd"', 'titel = "Example Ltd"', "unknown field titel"),
        ('title = "Example Ltd"\n', "", "missing required field title"),
        ('name = "keycloak"', 'name = "Key Cloak"', "small letters, digits and dashes"),
        ('name = "keycloak"', 'name = "two"', "two providers have the name two"),
        ("https://id.example.com/realms/billfold", "https://two.example.com", "two providers have the issuer"),
        ("https://id", "http://id", "must be an https address"),
        ("https://id", "ldap://id", "must be an https address"),
        ("/realms/billfold", "/?realm=billfold", "must be an https address"),
        ("https://id", "https://ada:word@id", "must be an https address"),
        ("https://id.example.com/realms/billfold", "https://pay.example.com", "our own address"),
        ('["2", "gold"]\naccept', '[]\nclient_secret = "x"\naccept', "not both"),
        ('client_secret_file = "secret"', 'client_secret_file = "gone"', "can't be read"),
        ('audience = "billfold"\n', "", "accept_tokens needs audience"),
        ("accept_tokens = true\n", "", "mean nothing without accept_tokens"),
        ('roles_claim = "realm_access.roles"\n', "", "roles and roles_claim go together"),
        ('"auditor"', '"service"', "is for programs"),
        ('"auditor"', '"root"', "Invalid enum value"),
        ('["shop"]', '["billfold"]', "can't be a program's"),
        ('audience = "billfold"', 'audience = "billfold"\nscopes = ["email"]', "must have openid"),
        ("login = true", "login = 1", "Expected"),
        ("login = true", "login = false", "second_factor_acr means nothing without login"),
        ('"gold"', '"0"', "nothing was checked"),
        ("[[provider]]", "[provider", "not valid TOML"),
        ("\n[[provider]]", "providers = 1\n[[provider]]", "unknown field providers"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    with pytest.raises(settings.SettingInvalid, match=r"(?s).*") as caught:
        read(tmp_path, GOOD.replace(old, new, 1) + MINIMAL)
    assert said in caught.value.detail
    assert "word" not in caught.value.detail.replace("ada:word", "")


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(settings.SettingInvalid, match="can't be read"):
        oidc.providers(settings.Oidc(file=tmp_path / "gone.toml"), public_url="https://pay.example.com")


def test_plain_http_is_for_a_sandbox(tmp_path: Path) -> None:
    text = MINIMAL.replace("https://two.example.com", "http://localhost:8081/realms/billfold")
    with pytest.raises(settings.SettingInvalid):
        read(tmp_path, text)
    assert read(tmp_path, text, loopback=True).configured


def test_two_providers_can_not_both_be_asked_about_tokens(tmp_path: Path) -> None:
    two = MINIMAL.replace("login = true", 'accept_tokens = true\naudience = "a"\nintrospect = true')
    with pytest.raises(settings.SettingInvalid, match="introspect is for one provider"):
        read(tmp_path, GOOD.replace("login = true", "login = true\nintrospect = true") + two)
