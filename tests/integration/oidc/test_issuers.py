"""What a provider publishes, and tokens that are signed by it, or seem to be."""

import asyncio
import hmac
import json
import warnings
from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from billfold.identity import errors
from billfold.identity.adapters import published
from billfold.identity.adapters.issuers import Issuer, Signed
from billfold.platform.fetching import Fetcher
from tests.integration.fetching import hostile
from tests.integration.oidc import issuing


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def issuer(own_issuer: issuing.Issuing, clock: Clock) -> Issuer:
    return Issuer(own_issuer.provider, Fetcher(loopback=True), now=clock)


async def check(issuer: Issuer, token: str) -> Signed:
    return await issuer.verified(token, error=errors.ProviderTokenInvalid)


async def refused(issuer: Issuer, token: str) -> None:
    with pytest.raises(errors.ProviderTokenInvalid):
        await check(issuer, token)


async def settled() -> None:
    """Let what runs in the background come to its end."""
    while others := [task for task in asyncio.all_tasks() if task.get_name().startswith("fetch ")]:
        await asyncio.wait(others)


def key_of(alg: str, kid: str = "two") -> Any:
    if alg == "ES256":
        return ECKey.generate_key("P-256", {"kid": kid})
    return (
        OKPKey.generate_key("Ed25519", {"kid": kid})
        if alg in {"EdDSA", "Ed25519"}
        else RSAKey.generate_key(2048, {"kid": kid})
    )


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"])
async def test_a_token_of_each_algorithm_is_verified(own_issuer: issuing.Issuing, issuer: Issuer, alg: str) -> None:
    key = key_of(alg)
    own_issuer.publish(key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The library's advice about the name of EdDSA.
        token = own_issuer.token(key, alg=alg)
    assert (await check(issuer, token)).claims["sub"] == "s1"


async def test_documents_are_fetched_once_and_kept(own_issuer: issuing.Issuing, issuer: Issuer) -> None:
    token = own_issuer.token()
    await asyncio.gather(*(check(issuer, token) for _ in range(20)))
    await check(issuer, token)
    assert (own_issuer.asked_for(issuing.KEYS), own_issuer.asked_for(issuing.DISCOVERY)) == (1, 1)


async def test_a_token_without_a_signature_is_refused(own_issuer: issuing.Issuing, issuer: Issuer) -> None:
    for header in ({}, {"alg": "None"}, {"alg": "NONE"}, {"alg": ""}, {"alg": "RS256"}):
        await refused(issuer, own_issuer.unsigned(**header))


async def test_a_public_key_does_not_serve_as_a_shared_one(own_issuer: issuing.Issuing, issuer: Issuer) -> None:
    public = own_issuer.key.as_dict(private=False)
    for shared in (own_issuer.key.as_pem(private=False), json.dumps(public).encode()):
        signed = own_issuer.unsigned(alg="HS256").rstrip(".")
        signature = hmac.digest(shared, signed.encode(), "sha256")
        await refused(issuer, f"{signed}.{issuing.encoded(signature)}")


async def test_a_shared_key_that_is_published_is_passed_over(own_issuer: issuing.Issuing, issuer: Issuer) -> None:
    shared = OctKey.generate_key(256, {"kid": "shared"})
    own_issuer.publish(shared)
    await refused(issuer, own_issuer.token(shared, alg="HS256"))


async def test_a_key_is_good_for_its_own_algorithm_alone(own_issuer: issuing.Issuing, issuer: Issuer) -> None:
    own_issuer.publish(own_issuer.key, alg="PS256")
    await refused(issuer, own_issuer.token())
    await check(issuer, own_issuer.token(alg="PS256"))


@pytest.mark.parametrize("more", [{"use": "enc"}, {"key_ops": ["encrypt"]}], ids=str)
async def test_a_key_for_something_else_is_passed_over(
    own_issuer: issuing.Issuing, issuer: Issuer, more: dict[str, Any]
) -> None:
    own_issuer.publish(own_issuer.key, **more)
    await refused(issuer, own_issuer.token())


async def test_a_weak_key_is_passed_over(own_issuer: issuing.Issuing, issuer: Issuer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weak = RSAKey.generate_key(1024, {"kid": "weak"})
        own_issuer.publish(weak)
        token = own_issuer.token(weak)
        await refused(issuer, token)


async def test_a_token_brings_no_key_of_its_own(own_issuer: issuing.Issuing, issuer: Issuer) -> None:
    own = RSAKey.generate_key(2048, {"kid": "one"})
    header = {"jwk": own.as_dict(private=False)}
    await refused(issuer, own_issuer.token(own, header=header))
    await refused(issuer, own_issuer.token(own, header={"jku": "https://evil.example.com/keys"}))


async def test_broken_tokens_are_refused(own_issuer: issuing.Issuing, issuer: Issuer) -> None:
    head, claims, signature = own_issuer.token().split(".")
    other = issuing.encoded(json.dumps(own_issuer.claims(sub="admin")).encode())
    for token in (
        f"{head}.{other}.{signature}",
        f"{head}.{claims}.",
        f"{head}.{claims}",
        f"{head}.{claims}.{signature}.{signature}",
        f"{head}.{claims}.{signature[:-8]}AAAAAAAA",
        f".{claims}.{signature}",
        "..",
        "a.b.c",
        f"{head}.{claims}.ü",
        f"{head}.{claims}.{signature}" + "A" * 9000,
    ):
        await refused(issuer, token)
    await refused(issuer, own_issuer.unsigned(crit=["exp"]))
    await refused(issuer, own_issuer.unsigned(kid=None, alg="RS256"))


async def test_a_new_key_is_found_at_once_and_strangers_can_not_make_us_ask_again_and_again(
    own_issuer: issuing.Issuing, issuer: Issuer, clock: Clock
) -> None:
    await check(issuer, own_issuer.token())
    new = key_of("RS256")
    own_issuer.publish(own_issuer.key, new)
    clock.time += published.RENEWED_EVERY_S
    await check(issuer, own_issuer.token(new))
    assert own_issuer.asked_for(issuing.KEYS) == 2
    for number in range(20):
        await refused(issuer, own_issuer.token(header={"kid": f"stranger {number}"}))
    assert own_issuer.asked_for(issuing.KEYS) == 2
    clock.time += published.RENEWED_EVERY_S
    await refused(issuer, own_issuer.token(header={"kid": "stranger"}))
    assert own_issuer.asked_for(issuing.KEYS) == 3


@pytest.mark.parametrize(
    ("max_age_s", "fresh_s"),
    [(None, 3600), (0, 300), (1, 300), (600, 600), (10**8, 86400), (10**12, 86400), (10**20, 300)],
)
async def test_keys_are_kept_as_long_as_they_say_within_bounds(
    own_issuer: issuing.Issuing, issuer: Issuer, clock: Clock, max_age_s: int | None, fresh_s: int
) -> None:
    own_issuer.publish(own_issuer.key, max_age_s=max_age_s)
    token = own_issuer.token()
    await check(issuer, token)
    clock.time += fresh_s - 1
    await check(issuer, token)
    await settled()
    assert own_issuer.asked_for(issuing.KEYS) == 1
    clock.time += 1
    # Nobody waits for the renewal.
    await check(issuer, token)
    await settled()
    assert own_issuer.asked_for(issuing.KEYS) == 2


async def test_a_withdrawn_key_is_believed_no_more_once_the_keys_are_renewed(
    own_issuer: issuing.Issuing, issuer: Issuer, clock: Clock
) -> None:
    token = own_issuer.token()
    await check(issuer, token)
    own_issuer.publish(key_of("RS256"))
    clock.time += 600
    await check(issuer, token)
    await settled()
    await refused(issuer, token)


async def test_while_the_issuer_is_down_old_keys_serve_for_an_hour_and_then_nobody_knows(
    own_issuer: issuing.Issuing, issuer: Issuer, clock: Clock
) -> None:
    token = own_issuer.token()
    await check(issuer, token)
    own_issuer.server.answers.clear()
    clock.time += 600 + published.STALE_MAX_S - 1
    await check(issuer, token)
    await settled()
    clock.time += published.RETRIED_AFTER_S + 1
    with pytest.raises(errors.ProviderUnavailable):
        await check(issuer, token)
    # It has just been tried, and is left alone for a moment.
    asked = len(own_issuer.server.asked)
    with pytest.raises(errors.ProviderUnavailable):
        await check(issuer, token)
    assert len(own_issuer.server.asked) == asked


async def test_a_key_that_nobody_knows_is_no_wrong_one_while_the_issuer_is_down(
    own_issuer: issuing.Issuing, issuer: Issuer, clock: Clock
) -> None:
    await check(issuer, own_issuer.token())
    own_issuer.server.answers.clear()
    clock.time += published.RENEWED_EVERY_S
    for _ in range(2):
        with pytest.raises(errors.ProviderUnavailable):
            await check(issuer, own_issuer.token(key_of("RS256")))
    await check(issuer, own_issuer.token())


@pytest.mark.parametrize(
    "said",
    [
        {"issuer": "https://evil.example.com"},
        {"issuer": None},
        {"jwks_uri": 7},
        {"jwks_uri": "https://127.0.0.1.nip.invalid/keys"},
        {"jwks_uri": "http://169.254.169.254/latest/"},
        {"jwks_uri": "file:///etc/passwd"},
    ],
    ids=str,
)
async def test_an_issuer_that_says_strange_things_of_itself_is_not_believed(
    own_issuer: issuing.Issuing, issuer: Issuer, said: dict[str, Any]
) -> None:
    own_issuer.say(**said)
    with pytest.raises(errors.ProviderUnavailable):
        await check(issuer, own_issuer.token())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"keys": 1}', b'{"keys": [1]}', b"{" * 100_000, b"\xff"], ids=lambda body: str(body[:12])
)
async def test_keys_that_are_none_are_as_good_as_no_answer(
    own_issuer: issuing.Issuing, issuer: Issuer, body: bytes
) -> None:
    own_issuer.server.answers[issuing.KEYS] = hostile.answer(body)
    with pytest.raises(errors.ProviderUnavailable):
        await check(issuer, own_issuer.token())


@pytest.mark.parametrize(
    "raw",
    [{"kty": "RSA"}, {"kty": "RSA", "n": 7, "e": []}, {"kty": "EC", "crv": "P-256", "x": "!", "y": ""}, {"kty": {}}],
    ids=str,
)
async def test_a_broken_key_does_not_spoil_the_others(
    own_issuer: issuing.Issuing, issuer: Issuer, raw: dict[str, Any]
) -> None:
    keys = [raw | {"kid": "broken"}, own_issuer.key.as_dict(private=False)]
    own_issuer.server.answers[issuing.KEYS] = hostile.answer(json.dumps({"keys": keys}).encode())
    await check(issuer, own_issuer.token())


async def test_a_code_is_exchanged_with_the_secret_in_the_way_that_the_provider_takes(
    own_issuer: issuing.Issuing, issuer: Issuer, clock: Clock
) -> None:
    server = own_issuer.server
    server.answers["/token"] = hostile.answer(b'{"id_token": "i", "access_token": "a", "token_type": "Bearer"}')
    tokens = await issuer.exchange(code="c", redirect_uri="https://a/b", verifier="v")
    assert tokens.access_token == "a"
    # web:secret%3A+word, in Base64
    assert b"authorization: basic d2vionnly3jldcuzqst3b3jk" in server.asked[-1].lower()
    server.answers["/token"] = hostile.answer(b'{"error": "invalid_grant"}', status="400 Bad Request")
    with pytest.raises(errors.LoginAnswerInvalid):
        await issuer.exchange(code="c", redirect_uri="https://a/b", verifier="v")
    server.answers["/token"] = hostile.answer(b"{}")
    with pytest.raises(errors.LoginAnswerInvalid):
        await issuer.exchange(code="c", redirect_uri="https://a/b", verifier="v")
    del server.answers["/token"]
    with pytest.raises(errors.ProviderUnavailable):
        await issuer.exchange(code="c", redirect_uri="https://a/b", verifier="v")


async def test_a_token_that_can_not_be_read_is_asked_about(own_issuer: issuing.Issuing, issuer: Issuer) -> None:
    answers = own_issuer.server.answers
    answers["/introspect"] = hostile.answer(json.dumps({"active": True, "sub": "s1"}).encode())
    assert (await issuer.introspected("opaque"))["iss"] == own_issuer.issuer
    for body in (b'{"active": false}', b'{"active": "true"}', b"{}"):
        answers["/introspect"] = hostile.answer(body)
        with pytest.raises(errors.ProviderTokenInvalid):
            await issuer.introspected("opaque")
    for broken in (hostile.answer(b"[]"), hostile.answer(b"{}", status="401 Unauthorized")):
        answers["/introspect"] = broken
        with pytest.raises(errors.ProviderUnavailable):
            await issuer.introspected("opaque")
