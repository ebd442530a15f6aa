"""The realm that we give people is what the documentation says of it, in a real Keycloak."""

import httpx2

from tests import keycloak


def test_a_program_gets_a_token_for_billfold(keycloak_server: keycloak.KeycloakServer) -> None:
    assert keycloak_server.service_token().count(".") == 2


def test_the_realm_demands_pkce_and_forgets_tokens_soon(keycloak_server: keycloak.KeycloakServer) -> None:
    realm = keycloak_server.admin("GET", "").json()
    assert realm["accessTokenLifespan"] <= 300
    assert realm["bruteForceProtected"]
    (client,) = keycloak_server.admin("GET", f"/clients?clientId={keycloak.CLIENT}").json()
    assert client["attributes"]["pkce.code.challenge.method"] == "S256"
    assert not client["directAccessGrantsEnabled"]
    asked = {"client_id": keycloak.CLIENT, "response_type": "code", "scope": "openid"}
    asked["redirect_uri"] = "http://127.0.0.1:8123/api/v1/auth/oidc/keycloak/callback"
    answer = httpx2.get(f"{keycloak_server.issuer}/protocol/openid-connect/auth", params=asked, timeout=60)
    assert "error=invalid_request" in answer.headers["location"]
    assert "code_challenge_method" in answer.headers["location"]


def test_the_code_goes_to_this_machine_at_any_port_and_to_no_other(keycloak_server: keycloak.KeycloakServer) -> None:
    asked = {"client_id": keycloak.CLIENT, "response_type": "code", "scope": "openid"}
    asked |= {"code_challenge": "x" * 43, "code_challenge_method": "S256"}
    for uri, status in (
        ("http://127.0.0.1:8123/api/v1/auth/oidc/keycloak/callback", 200),
        ("http://localhost:8080/api/v1/auth/oidc/keycloak/callback", 200),
        ("http://localhost:8080/elsewhere", 400),
        ("https://example.com/api/v1/auth/oidc/keycloak/callback", 400),
    ):
        answer = httpx2.get(
            f"{keycloak_server.issuer}/protocol/openid-connect/auth", params=asked | {"redirect_uri": uri}, timeout=60
        )
        assert answer.status_code == status, uri
