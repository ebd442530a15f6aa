"""Second factors and approvals over HTTP, and what strangers send instead."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import pyotp
import pytest

from billfold.kernel import ids
from tests import servers
from tests.authenticators import SecurityKey
from tests.integration.api import support
from tests.integration.api.people import PASSWORD, Post, post_of, registered
from tests.integration.api.support import ApiServer, Caller

#: No word that a browser could send.
_TEXTS = ("", "A", "!!!", "====", "AAAA", "é", "\x00", "o2NmbXRkbm9uZQ", "A" * 5_000, "A" * 20_000)
GARBAGE: tuple[object, ...] = (*_TEXTS, None, 7, [], {}, {"a": {}})
_RESPONSE = dict.fromkeys(("clientDataJSON", "attestationObject", "authenticatorData", "signature"), "AAAA")
CREDENTIAL: dict[str, Any] = {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": _RESPONSE}
FIELDS = (("id",), ("rawId",), ("type",), ("response",), *(("response", name) for name in _RESPONSE))


@pytest.fixture(scope="module")
def api_server(
    api_database: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[support.ApiServer]:
    more = {"security__step_up_above": "USD=100", "limits__anonymous_per_minute": "0"}
    with support.running_api(api_database, tmp_path_factory.mktemp("api"), **more) as server:
        yield server


@pytest.fixture(scope="module")
def post(api_database: servers.TestDatabase) -> Post:
    return post_of(api_database)


def changed(field: tuple[str, ...], value: Any) -> dict[str, Any]:
    """A credential with something else in one field."""
    *way, last = field
    credential = {**CREDENTIAL, "response": {**_RESPONSE}}
    place: Any = credential
    for name in way:
        place = place[name]
    place[last] = value
    return credential


def with_app(ada: Caller) -> tuple[pyotp.TOTP, str]:
    """An authenticator app, and the code that was used to add it."""
    app = pyotp.TOTP(ada.post("/users/me/factors/totp", {"password": PASSWORD}).json()["secret"])
    code = app.now()
    added = ada.post("/users/me/factors/totp/confirm", {"code": code})
    assert added.status_code == 200, added.text
    assert len(added.json()["recovery_codes"]) == 10
    return app, code


def with_passkey(api_server: ApiServer, ada: Caller) -> SecurityKey:
    key = SecurityKey(origin=api_server.url.replace("127.0.0.1", "localhost"))
    start = ada.post("/users/me/factors/passkeys/start", {"password": PASSWORD}).json()
    body = {"challenge_id": start["challenge_id"], "name": "A key", "credential": key.create(start["options"])}
    added = ada.post("/users/me/factors/passkeys/finish", body)
    assert added.status_code == 201, added.text
    return key


def approved(ada: Caller, key: SecurityKey, refused: Any) -> str:
    """Approve what was refused: the id for the header."""
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required"), refused.text
    step_up: str = refused.json()["step_up"]["id"]
    options = ada.get(f"/auth/step-up/{step_up}").json()["passkey_options"]
    answer = ada.post(f"/auth/step-up/{step_up}", {"passkey": key.get(options)})
    assert answer.status_code == 200, answer.text
    return step_up


async def test_a_login_asks_for_the_second_factor(api_server: ApiServer, post: Post) -> None:
    email, ada = await registered(api_server, post)
    (app, used), nobody = with_app(ada), api_server.caller(None)
    begun = nobody.post("/auth/login", {"login": email, "password": PASSWORD}).json()
    assert set(begun) == {"second_factor"}
    token = begun["second_factor"]["token"]
    assert nobody.post("/auth/mfa", {"token": token, "totp": used}).json()["code"] == "second_factor_wrong"
    tokens = nobody.post("/auth/mfa", {"token": token, "totp": app.at(int(time.time()) + 30)})
    assert tokens.status_code == 200
    assert api_server.caller(tokens.json()["access_token"]).get("/users/me").json()["factors"] == [
        "totp",
        "recovery_code",
    ]
    over = nobody.post("/auth/mfa", {"token": token, "totp": app.now()})
    assert (over.status_code, over.json()["code"]) == (401, "login_not_pending")


async def test_too_many_codes_have_to_wait(api_server: ApiServer, post: Post) -> None:
    email, ada = await registered(api_server, post)
    with_app(ada)
    nobody = api_server.caller(None)
    answers = []
    for _ in range(2):
        begun = nobody.post("/auth/login", {"login": email, "password": PASSWORD}).json()
        token = begun["second_factor"]["token"]
        answers += [nobody.post("/auth/mfa", {"token": token, "totp": "000000"}) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429] * 5
    assert 0 < int(answers[-1].headers["retry-after"]) <= 30


async def test_a_withdrawal_is_approved_on_the_way_of_money(
    api_server: ApiServer, post: Post, operator_key: str
) -> None:
    _, ada = await registered(api_server, post)
    key, bank = with_passkey(api_server, ada), api_server.caller(operator_key)
    wallet = ada.post("/wallets", {"name": "Ada"}).json()["id"]
    bank.post(f"/wallets/{wallet}/deposits", {"money": {"amount": "1000.00", "asset": "USD"}})
    order = {"money": {"amount": "500.00", "asset": "USD"}, "reference": "DE02 1203"}
    path, same = f"/wallets/{wallet}/withdrawals", str(ids.new())
    proof = approved(ada, key, ada.post(path, order, idempotency_key=same))
    for other in (order | {"reference": "DE02 9999"}, order | {"money": {"amount": "500.01", "asset": "USD"}}):
        assert ada.post(path, other, step_up=proof).json()["code"] == "step_up_required"
    # With a slash at its end the path takes the other way through the server.
    assert ada.post(f"{path}/", order, idempotency_key=str(ids.new())).json()["code"] == "step_up_required"
    done = ada.post(f"{path}/", order, idempotency_key=same, step_up=proof)
    assert done.status_code == 201, done.text
    again = ada.post(path, order, idempotency_key=same, step_up=proof)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (done.json()["id"], "true")
    assert ada.post(path, order, step_up=proof).json()["code"] == "step_up_required"
    assert bank.post(path, order).status_code == 201, "a program without a person is not asked"


async def test_a_new_address_is_approved_and_then_confirmed(api_server: ApiServer, post: Post) -> None:
    _, ada = await registered(api_server, post)
    key, new = with_passkey(api_server, ada), f"{ids.new().hex}@example.com"
    proof = approved(ada, key, ada.post("/users/me/email", {"email": new, "password": PASSWORD}))
    asked = ada.post("/users/me/email", {"email": new}, step_up=proof)
    assert asked.status_code == 202, asked.text
    body = {"id": asked.json()["id"], "code": await post.last(new, "code")}
    assert ada.post("/users/me/email/verify", body).json()["email"] == new
    assert ada.post("/users/me/phone", {"phone": "+66812345678"}).json()["code"] == "step_up_required"


async def test_a_key_of_a_person_approves_nothing(api_server: ApiServer, post: Post) -> None:
    _, ada = await registered(api_server, post)
    assert ada.post("/api-keys", {"name": "A", "scopes": ["keys:write"]}).json()["code"] == "second_factor_missing"
    passkey = with_passkey(api_server, ada)
    order, same = {"name": "A", "scopes": ["keys:write"]}, str(ids.new())
    proof = approved(ada, passkey, ada.post("/api-keys", order, idempotency_key=same))
    made = ada.post("/api-keys", order, idempotency_key=same, step_up=proof)
    assert made.status_code == 201, made.text
    program = api_server.caller(made.json()["key"])
    refused = program.post("/api-keys", order)
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    waiting = refused.json()["step_up"]["id"]
    assert program.get(f"/auth/step-up/{waiting}").status_code == 403
    assert program.post(f"/auth/step-up/{waiting}", {"totp": "000000"}).status_code == 403
    assert program.post("/users/me/factors/totp", {}).status_code == 403


@pytest.mark.parametrize("header", ["x", "", "01a1fc93", "01a1fc93-0000-7000-8000-0000000000010", "é", "null"])
async def test_what_is_no_approval_is_told(api_server: ApiServer, post: Post, header: str) -> None:
    _, ada = await registered(api_server, post)
    sent = {"Authorization": f"Bearer {ada.key}", "Idempotency-Key": "x", "Step-Up": header}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
    answer = ada.client.post("/api-keys", json={"name": "A", "scopes": ["keys:read"]}, headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_id")
    assert answer.json()["errors"][0]["parameter"] == "Step-Up"


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda value: repr(value)[:12])
async def test_garbage_for_a_passkey_is_refused(api_server: ApiServer, post: Post, garbage: object) -> None:
    _, ada = await registered(api_server, post)
    nobody = api_server.caller(None)
    answers = []
    for field in FIELDS:
        start = ada.post("/users/me/factors/passkeys/start", {"password": PASSWORD}).json()
        body = {"name": "A", "challenge_id": start["challenge_id"], "credential": changed(field, garbage)}
        answers.append(ada.post("/users/me/factors/passkeys/finish", body))
        login = nobody.post("/auth/passkeys/start", {}).json()
        body = {"challenge_id": login["challenge_id"], "credential": changed(field, garbage)}
        answers.append(nobody.post("/auth/passkeys/finish", body))
    assert {answer.status_code for answer in answers} <= {403, 422}
    codes = {"passkey_invalid", "second_factor_wrong", "wrong_type", "invalid_value", "missing_field"}
    assert {answer.json()["code"] for answer in answers} <= codes


async def test_random_answers_to_a_challenge_break_nothing(api_server: ApiServer, post: Post) -> None:
    _, ada = await registered(api_server, post)
    chance = random.Random(4711)
    for _ in range(40):
        start = ada.post("/users/me/factors/passkeys/start", {"password": PASSWORD}).json()
        credential = SecurityKey(origin=api_server.url.replace("127.0.0.1", "localhost")).create(start["options"])
        field = chance.choice(["clientDataJSON", "attestationObject"])
        text = list(credential["response"][field])
        for _ in range(chance.randint(1, 8)):
            text[chance.randrange(len(text))] = chance.choice("ABCDabcd0123-_")
        credential["response"][field] = "".join(text)[: chance.randint(0, len(text))]
        body = {"name": "A", "challenge_id": start["challenge_id"], "credential": credential}
        answer = ada.post("/users/me/factors/passkeys/finish", body)
        assert (answer.status_code, answer.json()["code"]) == (422, "passkey_invalid"), answer.text


@pytest.mark.parametrize(
    "body",
    [{}, {"totp": "12345"}, {"totp": "\uff11\uff12\uff13\uff14\uff15\uff16"}, {"totp": "123456\n"}, {"passkey": {}}],
)
async def test_what_is_no_factor_is_told(api_server: ApiServer, body: dict[str, object]) -> None:
    answer = api_server.caller(None).post("/auth/mfa", {"token": "x"} | body)
    assert answer.status_code in (401, 422)
    assert answer.json()["code"] in {"login_not_pending", "invalid_value", "missing_field"}


async def test_no_secret_of_a_factor_is_in_a_log_or_an_event(
    api_server: ApiServer, api_database: servers.TestDatabase, post: Post
) -> None:
    email, ada = await registered(api_server, post)
    secret = ada.post("/users/me/factors/totp", {"password": PASSWORD}).json()["secret"]
    codes = ada.post("/users/me/factors/totp/confirm", {"code": pyotp.TOTP(secret).now()}).json()["recovery_codes"]
    begun = api_server.caller(None).post("/auth/login", {"login": email, "password": PASSWORD}).json()
    connection = await asyncpg.connect(api_database.app_dsn)
    try:
        events = str([row["payload"] for row in await connection.fetch("SELECT payload FROM messaging.outbox")])
    finally:
        await connection.close()
    assert "factor.added.v1" in events
    for canary in (secret, *codes, begun["second_factor"]["token"], PASSWORD):
        assert canary not in api_server.log
        assert canary not in events
