"""What a provider's tokens must say, and where a login may lead."""

from typing import Any

import msgspec
import pytest

from billfold.identity import errors
from billfold.identity.contracts import PERSONAL, STAFF, Provider, Role, scopes_of
from billfold.identity.domain import providers as domain

NOW = 1_800_000_000.0
ISSUER = "https://id.example.com/realms/billfold"
KEYCLOAK = Provider(
    name="keycloak",
    title="Keycloak",
    issuer=ISSUER,
    client_id="billfold",
    audience="billfold",
    roles_claim=("realm_access", "roles"),
    roles={"auditor": "auditor", "geldmeister": "treasurer"},
    services=frozenset({"shop"}),
    login=True,
    accept_tokens=True,
)


def access(**more: Any) -> dict[str, Any]:
    claims = {"iss": ISSUER, "aud": "billfold", "sub": "s1", "exp": NOW + 60, "iat": NOW, "typ": "Bearer", "azp": "web"}
    return {name: value for name, value in (claims | more).items() if value is not None}


def ident(**more: Any) -> dict[str, Any]:
    claims = {"iss": ISSUER, "aud": "billfold", "sub": "s1", "exp": NOW + 60, "iat": NOW, "nonce": "n", "typ": "ID"}
    return {name: value for name, value in (claims | more).items() if value is not None}


def check_access(provider: Provider = KEYCLOAK, *, kind: str = "JWT", **more: Any) -> None:
    domain.check_access_token(provider, access(**more), kind=kind, now=NOW)


def check_ident(*, kind: str = "JWT", **more: Any) -> None:
    claims = ident(**more)
    domain.check_id_token(KEYCLOAK, claims, kind=kind, algorithm="RS256", nonce="n", access_token="t", now=NOW)


def test_an_access_token_for_us_is_taken() -> None:
    check_access()
    check_access(aud=["account", "billfold"], nbf=NOW)
    check_access(kind="at+jwt", typ=None)


@pytest.mark.parametrize(
    "more",
    [
        {"iss": "https://evil.example.com"},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"aud": "shop"},
        {"aud": None},
        {"aud": []},
        {"aud": {"billfold": 1}},
        {"exp": NOW - 31},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": True},
        {"nbf": NOW + 31},
        {"iat": NOW + 31},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"sub": "a\0"},
        {"typ": "ID"},
        {"typ": "Refresh"},
        {"typ": ["Bearer"]},
    ],
    ids=str,
)
def test_any_other_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(errors.ProviderTokenInvalid):
        check_access(**more)


def test_clocks_may_be_half_a_minute_apart() -> None:
    check_access(exp=NOW - 29)
    check_access(nbf=NOW + 29, iat=NOW + 29)


@pytest.mark.parametrize("kind", ["dpop+jwt", "logout+jwt", "secevent+jwt", "JWE"])
def test_a_token_of_another_type_is_no_access_token(kind: str) -> None:
    with pytest.raises(errors.ProviderTokenInvalid, match="no access token"):
        check_access(kind=kind)


def test_a_token_that_does_not_say_what_it_is_counts_only_where_the_audience_tells() -> None:
    with pytest.raises(errors.ProviderTokenInvalid):
        check_access(typ=None)
    of_its_own = Provider(name="p", title="P", issuer=ISSUER, client_id="web", audience="https://pay.example.com")
    check_access(of_its_own, typ=None, aud="https://pay.example.com")
    with pytest.raises(errors.ProviderTokenInvalid):
        check_access(of_its_own, typ=None, aud=["https://pay.example.com", "web"])


def test_the_id_token_of_this_login_is_taken() -> None:
    check_ident()
    check_ident(aud=["billfold", "other"], azp="billfold")


@pytest.mark.parametrize(
    "more",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 1},
        {"aud": "other"},
        {"aud": ["billfold", "other"]},
        {"azp": "other"},
        {"iss": "https://evil.example.com"},
        {"exp": NOW - 31},
        {"iat": NOW - 601},
        {"iat": None},
        {"at_hash": "wrong"},
        {"kind": "at+jwt"},
    ],
    ids=str,
)
def test_any_other_id_token_ends_the_login(more: dict[str, Any]) -> None:
    with pytest.raises(errors.LoginAnswerInvalid):
        check_ident(**more)


def test_the_hash_of_the_access_token_is_that_of_the_standard() -> None:
    # OpenID Connect Core, A.3, with the example's own token.
    domain.check_id_token(
        KEYCLOAK,
        ident(at_hash="77QmUPtjPfzWtF2AnpK9RQ"),
        kind="JWT",
        algorithm="RS256",
        nonce="n",
        access_token="jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
        now=NOW,
    )


def test_pkce_is_that_of_the_standard() -> None:
    # RFC 7636, appendix B.
    assert domain.challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == (
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    )


def test_verifier_and_nonce_need_both_secrets() -> None:
    made = {domain.verifier("a", "b"), domain.verifier("a", "c"), domain.verifier("d", "b"), domain.nonce("a", "b")}
    assert len(made) == 4


def test_a_claim_gives_what_the_map_says_and_nothing_else() -> None:
    carried = domain.scopes_of_person(
        KEYCLOAK, access(realm_access={"roles": ["auditor", "admin", "treasurer", 1, None]})
    )
    assert "everybody:read" in carried
    assert "operator" not in carried
    carried = domain.scopes_of_person(KEYCLOAK, access(realm_access={"roles": ["geldmeister"]}))
    assert "operator" in carried


def test_a_mapped_role_that_acts_on_everybody_takes_the_place_of_user() -> None:
    mapped: dict[str, Role] = {"boss": "admin", "shop": "service", "help": "support"}
    every = Provider(name="p", title="P", issuer=ISSUER, client_id="c", audience="a", roles_claim=("r",), roles=mapped)
    admin = scopes_of(frozenset({"admin"})) - PERSONAL
    assert domain.scopes_of_person(every, access(r=["boss"])) == admin
    assert domain.scopes_of_person(every, access(r=["boss", "shop", "help"])) == admin
    helper = scopes_of(frozenset({"user", "support"})) - PERSONAL
    assert domain.scopes_of_person(every, access(r=["help"])) == helper


@pytest.mark.parametrize(
    "claim", [None, {}, {"roles": "auditor"}, {"roles": {"auditor": 1}}, [], "auditor", 7], ids=str
)
def test_without_the_claim_there_is_the_role_of_everybody_alone(claim: Any) -> None:
    carried = domain.scopes_of_person(KEYCLOAK, access(realm_access=claim))
    assert "transfers:write" in carried
    assert not carried & STAFF


def test_no_foreign_token_carries_what_needs_a_login_here() -> None:
    every = Provider(
        name="p", title="P", issuer=ISSUER, client_id="c", audience="a", roles_claim=("r",), roles={"x": "admin"}
    )
    assert not domain.scopes_of_person(every, access(r=["x"])) & PERSONAL
    assert not domain.scopes_of_program() & (PERSONAL | STAFF)


def test_only_a_client_that_the_operator_has_named_is_a_program() -> None:
    assert domain.is_program(KEYCLOAK, access(azp="shop")) == "shop"
    assert domain.is_program(KEYCLOAK, access(azp=None, client_id="shop")) == "shop"
    for claims in (access(), access(azp="evil", client_id="shop"), access(azp=None), access(azp=["shop"])):
        assert domain.is_program(KEYCLOAK, claims) is None


def test_a_person_can_not_pass_for_a_program() -> None:
    for mark in ("sid", "session_state", "auth_time", "nonce"):
        with pytest.raises(errors.ProviderTokenInvalid):
            domain.is_program(KEYCLOAK, access(azp="shop", **{mark: "x"}))


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"email": "Ada@Example.com", "email_verified": True}, "ada@example.com"),
        ({"email": "ada@example.com"}, None),
        ({"email": "ada@example.com", "email_verified": False}, None),
        ({"email": "ada@example.com", "email_verified": "true"}, None),
        ({"email": "ada@example.com", "email_verified": 1}, None),
        ({"email": "a b@example.com", "email_verified": True}, None),
        ({"email": "ada@example.com\r\nbcc: x@y.zz", "email_verified": True}, None),
        ({"email": "x" * 300 + "@example.com", "email_verified": True}, None),
        ({"email_verified": True}, None),
    ],
    ids=str,
)
def test_only_a_verified_address_is_believed(said: dict[str, Any], taken: str | None) -> None:
    assert domain.person(access(**said)).email == taken


def test_a_name_is_one_line_of_text() -> None:
    assert domain.person(access(name=" Ada  L ")).display_name == "Ada L"
    for odd in ("A\u202eda", "Ada\0", "x" * 101):
        assert domain.person(access(name=odd, preferred_username="ada")).display_name == "ada"
    assert domain.person(access(name="\n", preferred_username="ada")).display_name == "ada"
    assert domain.person(access(name=7)).display_name == "New user"
    assert domain.person(access(locale="th-TH")).locale == "th-TH"
    assert domain.person(access(locale="../../x")).locale == "en"


@pytest.mark.parametrize("path", ["/", "/account", "/account?tab=keys#top", "/a/b//c", "/%2f%2fevil.example.com"])
def test_a_login_may_lead_to_any_path_of_ours(path: str) -> None:
    assert domain.check_return_to(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "account",
        "//evil.example.com",
        "///evil.example.com",
        "/\\evil.example.com",
        "/a\\b",
        "\\\\evil.example.com",
        "https://evil.example.com",
        "javascript:alert(1)",
        "/\tevil",
        "/a\nb",
        "/a b",
        "/ä",
        "/a\0",
        " /a",
        "/" + "x" * 500,
    ],
)
def test_and_nowhere_else(path: str) -> None:
    with pytest.raises(errors.ReturnToInvalid):
        domain.check_return_to(path)


@pytest.mark.parametrize(
    "more",
    [
        {"amr": ["pwd", "otp"]},
        {"amr": ["mfa"]},
        {"amr": ["hwk"]},
        {"amr": ["fido"]},
        {"acr": "gold"},
        {"amr": ["pwd"], "acr": "gold"},
    ],
    ids=str,
)
def test_a_second_factor_that_the_provider_names_was_checked(more: dict[str, Any]) -> None:
    assert domain.has_second_factor(msgspec.structs.replace(KEYCLOAK, second_factor_acr={"gold"}), ident(**more))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"amr": []},
        {"amr": ["pwd", "sms"]},
        {"amr": "mfa"},
        {"amr": {"mfa": True}},
        {"amr": [["mfa"], None, 1, {}]},
        {"acr": "1"},
        {"acr": ["gold"]},
        {"acr": {}},
        {"acr": ""},
    ],
    ids=str,
)
def test_what_names_no_second_factor_is_none(more: dict[str, Any]) -> None:
    assert not domain.has_second_factor(msgspec.structs.replace(KEYCLOAK, second_factor_acr={"gold"}), ident(**more))


def test_no_acr_is_a_second_factor_unless_the_operator_says_so() -> None:
    assert not domain.has_second_factor(KEYCLOAK, ident(acr="gold"))
