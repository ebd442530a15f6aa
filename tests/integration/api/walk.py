"""A walk over every operation of the API as everybody: what is declared is compared with what is answered."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import httpx2

from billfold.identity.contracts import ROLES, Role
from billfold.kernel import ids
from tests.integration.api.world import Login, World
from tests.matrix import Policy

_PARAMETER = re.compile(r"{(\w+)}")
#: The wallets of examples: whose the request is about, and another one that it names beside.
_WALLET = "019aa2c6-7a00-7000-8000-00000000a001"
_ON_CHAIN = "/wallets/{wallet_id}/chain-withdrawals"
_OTHER = "019aa2c6-7a00-7000-8000-00000000a002"
#: Whoever gets as far as these was let in: they have to prove themselves once more, or have no app for codes, or had a
#: code sent a moment ago; or name a chain, of which none is served here, or a transaction, or what nobody has made.
_LET_IN = frozenset(
    {
        "step_up_required",
        "second_factor_missing",
        "second_factor_wrong",
        "password_wrong",
        "login_too_old",
        "totp_unknown",
        "too_many_attempts",
        "provider_unknown",
        "chain_unknown",
        "unsigned_unknown",
        "address_unknown",
        "reserves_unknown",
    }
)
#: What everybody can send, where the example is not for everybody: all roles with keys have this scope, and all or
#: nothing is posted, so that a refusal is the answer.
_BODIES: Mapping[str, Mapping[str, Any]] = {
    "POST /api-keys": {"scopes": ["keys:read"]},
    "POST /transfers/bulk": {"atomic": True},
    "POST /payment-requests/{request_id}/pay": {"from": _WALLET},
}
#: Nobody does this to themselves.
_NOT_ONESELF = frozenset({"own_approval", "own_roles"})


class Question(NamedTuple):
    """An operation, who calls it, and whose things it is about."""

    policy: Policy
    login: Login
    #: Whose things they are: the caller's own or a stranger's.
    owner: UUID

    @property
    def own(self) -> bool:
        return self.owner == self.login.user_id

    def __str__(self) -> str:
        whose = "their own" if self.own else "a stranger's"
        credentials = "API key" if self.login.session_id is None else "session"
        return f"{self.policy.name} by {self.login.role} ({credentials}), {whose} things"


class Answer(NamedTuple):
    """What the API has said."""

    status: int
    code: str
    text: str
    #: What the request itself has named.
    asked: str


class Walk:
    """Asks, and tells what was answered otherwise than declared."""

    def __init__(self, world: World, client: httpx2.AsyncClient) -> None:
        self.world = world
        self._client = client

    async def faults(self, policies: Sequence[Policy], *, roles: Iterable[Role] = tuple(ROLES)) -> list[str]:
        """One line for each answer that is not as declared."""
        found: list[str] = []
        for policy in policies:
            if policy.scopes is None:
                continue
            asking = [self._ask_as(policy, role) for role in roles]
            for faults in await asyncio.gather(*asking):
                found += faults
        return found

    async def strangers(self, policies: Sequence[Policy], tokens: dict[str, str | None]) -> list[str]:
        """One line for each operation that takes one of these tokens, by what is wrong with it."""
        found = []
        for policy in policies:
            if policy.scopes is None:
                continue
            path = _PARAMETER.sub(str(ids.new()), policy.path)
            answers = await asyncio.gather(*(self._send(policy, path, policy.body, token) for token in tokens.values()))
            for kind, answer in zip(tokens, answers, strict=True):
                if (answer.status, answer.code) != (401, "unauthorized"):
                    found.append(f"{policy.name} with credentials {kind}: {answer.status} {answer.code}")
        return found

    async def _ask_as(self, policy: Policy, role: Role) -> list[str]:
        faults = []
        # Whoever only changes something of their own has nothing to do with strangers.
        strangers = (False, True) if _names_a_thing(policy) or policy.method == "GET" else (False,)
        for make in (self.world.login, self.world.key):
            for stranger in strangers:
                # Somebody new each time: the last one may have logged out by it, or left.
                login = await make(role)
                question = Question(policy, login, await self.world.person("user") if stranger else login.user_id)
                answer = await self._answered(question)
                if fault := self._fault(question, answer):
                    faults.append(f"{question}: {fault}, answered {answer.status} {answer.text[:200]}")
        return faults

    async def _answered(self, question: Question) -> Answer:
        policy, login = question.policy, question.login
        path = policy.path
        # Whoever is not let in learns it before anything is looked for.
        let_in = policy.lets_in(login.scopes)
        for name in _PARAMETER.findall(policy.path):
            exists = let_in and name in policy.things
            # Who is asked for money answers; who asks takes it back.
            kind = f"incoming_{name}" if policy.path.endswith(("/pay", "/decline")) else name
            # Two kinds of requests are named alike in paths.
            kind = f"money_{name}" if policy.path.startswith("/requests/") else kind
            thing = await self.world.thing(kind, question.owner) if exists else str(ids.new())
            path = path.replace(f"{{{name}}}", thing)
        body = policy.body if policy.name not in _BODIES else policy.body | _BODIES[policy.name]
        if let_in and policy.name == "POST /payment-requests":
            body = policy.body | {"from": await self.world.alias(await self.world.person("user"), visibility="name")}
        if let_in and body is not None and _WALLET in json.dumps(body):
            text = json.dumps(body).replace(_WALLET, await self.world.wallet(question.owner))
            body = json.loads(text)
        if let_in and body is not None and _OTHER in json.dumps(body):
            another = await self.world.wallet(await self.world.person("user"))
            body = json.loads(json.dumps(body).replace(_OTHER, another))
        return await self._send(policy, path, body, login.token)

    async def _send(self, policy: Policy, path: str, body: Any, token: str | None) -> Answer:
        headers = {"idempotency-key": str(ids.new())}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        async with self._client.stream(policy.method, path, json=body, headers=headers) as sent:
            # What has no end is let in, or is refused as everything else: its head says which.
            if sent.headers.get("content-type") != "text/event-stream":
                await sent.aread()
        if not sent.is_stream_consumed:
            return Answer(sent.status_code, "", "", path)
        is_problem = sent.headers.get("content-type", "").startswith("application/problem")
        code = sent.json()["code"] if is_problem else ""
        return Answer(sent.status_code, code, sent.text, path + json.dumps(body))

    def _fault(self, question: Question, answer: Answer) -> str | None:
        policy, login = question.policy, question.login
        if not policy.lets_in(login.scopes):
            return None if (answer.status, answer.code) == (403, "missing_scope") else "should lack a scope"
        reaches = policy.reaches_everybody(login.scopes)
        if not question.own and not reaches:
            if told := self._told(question, answer):
                return f"should not learn of {told}"
            if _names_a_thing(policy):
                return None if answer.status == 404 else "should find nothing"
        if not question.own and reaches and policy.by_two:
            # No chain is served here, and nobody is asked to approve what can't be done at all.
            impossible = policy.path == _ON_CHAIN and answer.code == "asset_not_on_chain"
            return None if answer.status == 202 or impossible else "should wait for another person"
        return None if _went_through(question, answer) else "should be let in"

    def _told(self, question: Question, answer: Answer) -> str | None:
        """Something of the stranger's that is in the answer, and was not in the question."""
        theirs = self.world.things[question.owner]
        return next((thing for thing in theirs if thing in answer.text and thing not in answer.asked), None)


def _names_a_thing(policy: Policy) -> bool:
    """Whether the request says which thing it is about, so that it can be somebody else's."""
    return bool(policy.things) or _WALLET in json.dumps(policy.body)


def _went_through(question: Question, answer: Answer) -> bool:
    if answer.status in (401, 403, 404, 429):
        return answer.code in _LET_IN or (question.own and answer.code in _NOT_ONESELF)
    return answer.status < 500
