"""Tokens that we have not signed are refused, whatever they look like."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, OKPKey

from billfold.identity.service.signing import Tokens
from billfold.platform.keys import Envelope, SealBroken
from billfold.platform.postgres.database import Database
from tests import facades
from tests.integration.identity.signing.processes import (
    MINUTE,
    SECOND,
    Clock,
    header_of,
    issued,
    refused,
)

#: joserfc would like EdDSA to be called Ed25519 (RFC 9864), which gateways don't know yet.
pytestmark = pytest.mark.filterwarnings("ignore:EdDSA is deprecated")


async def test_a_signature_of_another_key_under_the_name_of_ours_is_refused(tokens: Tokens) -> None:
    token = await issued(tokens)
    header, claims = header_of(token), json.loads(base64.urlsafe_b64decode(token.split(b".")[1] + b"=="))
    forged = jwt.encode(header, claims, OKPKey.generate_key("Ed25519"), algorithms=["EdDSA"])
    assert "signature" in await refused(tokens, forged.encode())


async def test_our_public_key_as_the_secret_of_a_mac_is_refused(tokens: Tokens) -> None:
    token = await issued(tokens)
    claims = json.loads(base64.urlsafe_b64decode(token.split(b".")[1] + b"=="))
    [public] = await tokens.published()
    raw = base64.urlsafe_b64decode(public["x"] + "=")
    for secret in (raw, public["x"].encode(), json.dumps(public).encode()):
        header = {"alg": "HS256", "typ": "at+jwt", "kid": public["kid"]}
        forged = jwt.encode(header, claims, OctKey.import_key(secret), algorithms=["HS256"])
        assert "of this service" in await refused(tokens, forged.encode())
        body = token.rpartition(b".")[0]
        mac = base64.urlsafe_b64encode(hmac.digest(secret, body, hashlib.sha256) * 2).rstrip(b"=")
        assert "signature" in await refused(tokens, body + b"." + mac)


async def test_a_token_without_a_signature_is_refused(tokens: Tokens) -> None:
    token = await issued(tokens)
    _, claims, signature = token.split(b".")
    none = base64.urlsafe_b64encode(json.dumps(header_of(token) | {"alg": "none"}).encode()).rstrip(b"=")
    for forged in (b".".join((none, claims, b"")), b".".join((none, claims, signature)), token.rpartition(b".")[0]):
        await refused(tokens, forged)


async def test_each_changed_character_is_noticed(tokens: Tokens) -> None:
    token = await issued(tokens)
    for place in range(len(token)):
        for character in b"AZ_9.":
            if token[place] != character:
                await refused(tokens, token[:place] + bytes([character]) + token[place + 1 :])


async def test_each_shorter_token_is_refused(tokens: Tokens) -> None:
    token = await issued(tokens)
    for length in range(len(token)):
        await refused(tokens, token[:length])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=5000) | st.text(alphabet="eyJ.-_=AZaz09", max_size=300).map(str.encode))
async def test_whatever_is_sent_is_an_invalid_token_and_nothing_else(tokens: Tokens, text: bytes) -> None:
    await refused(tokens, text)


async def test_a_token_of_another_installation_is_refused(
    database: Database, envelope: Envelope, tokens: Tokens, clock: Clock
) -> None:
    elsewhere = facades.identity(database, envelope=envelope, clock=clock, issuer="https://other.example.com")
    assert "another service" in await refused(tokens, await issued(elsewhere.tokens))


async def test_a_key_that_somebody_wrote_into_the_database_signs_nothing(
    tokens: Tokens, database: Database, clock: Clock
) -> None:
    """Whoever can write there and has no master key can't make tokens: not by a public key of theirs either."""
    token = await issued(tokens)
    mine = OKPKey.generate_key("Ed25519")
    forged = jwt.encode(header_of(token), {}, mine, algorithms=["EdDSA"]).encode()
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO identity.signing_keys (id, public, sealed, created_at, signs_from) "
            "SELECT $1, $2, sealed, created_at, signs_from FROM identity.signing_keys",
            mine.thumbprint(),
            mine.as_dict(private=False),
        )
    clock.at += MINUTE
    with pytest.raises(SealBroken):
        await tokens.check(forged)


async def test_unknown_keys_cost_one_look_a_second_however_many_there_are(
    tokens: Tokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = await issued(tokens)
    strange = OKPKey.generate_key("Ed25519")
    looks = 0
    read_keys = tokens._read_keys

    async def counted() -> Any:
        nonlocal looks
        looks += 1
        return await read_keys()

    monkeypatch.setattr(tokens, "_read_keys", counted)
    for _ in range(3):
        clock.at += SECOND
        for number in range(20):
            header = {"alg": "EdDSA", "typ": "at+jwt", "kid": f"strange{number}"}
            await refused(tokens, jwt.encode(header, {}, strange, algorithms=["EdDSA"]).encode())
            await tokens.check(good)
    assert looks == 3
