"""What goes to `/`: everything that a node of the real chain would answer, one or many questions in a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from billfold.devnet.ethereum import faucet

#: Of anvil and its like alone: they write state that no block has, which no start could make again.
_NOT_OF_A_CHAIN = ("anvil_", "hardhat_", "evm_", "miner_", "admin_")
#: The first two sign with keys that a node has; the third answers after the next block, which would wait for it.
_NOT_HERE = frozenset({"eth_sendTransaction", "eth_sendUnsignedTransaction", "eth_sendRawTransactionSync"})
_NO_METHOD = -32601
_NOT_JSON = -32700
_NOT_A_REQUEST = -32600
_HANDS_OVER = "eth_sendRawTransaction"
#: As many as large providers allow in one request.
QUESTIONS_MAX = 1000

Forward = Callable[[bytes], Awaitable[bytes]]


class Handed(msgspec.Struct, frozen=True):
    """A transaction that the node has taken."""

    hash: str
    raw: str


async def answer(body: bytes, forward: Forward) -> tuple[bytes, list[Handed]]:
    """The node's answer, as it is where nothing in it is refused here, and the transactions that it has taken."""
    try:
        asked = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.encode(_error(None, _NOT_JSON, "parse error")), []
    questions = asked if isinstance(asked, list) else [asked]
    if not questions or len(questions) > QUESTIONS_MAX or not all(isinstance(each, dict) for each in questions):
        return msgspec.json.encode(_error(None, _NOT_A_REQUEST, "invalid request")), []
    refused = [_error(each.get("id"), _NO_METHOD, "method not found") for each in questions if not _passes(each)]
    if not refused:
        said = await forward(body)
        return said, _handed(questions, said)
    passed = [each for each in questions if _passes(each)]
    if not isinstance(asked, list):
        return msgspec.json.encode(refused[0]), []
    said = await forward(msgspec.json.encode(passed)) if passed else b"[]"
    return msgspec.json.encode([*msgspec.json.decode(said), *refused]), _handed(passed, said)


def _passes(question: dict[str, Any]) -> bool:
    method = question.get("method")
    return not isinstance(method, str) or not (method.startswith(_NOT_OF_A_CHAIN) or method in _NOT_HERE)


def _handed(questions: list[dict[str, Any]], said: bytes) -> list[Handed]:
    """Answers are found by their `id`; whoever gives two questions the same gets both looked for among both."""
    sent = [each for each in questions if each.get("method") == _HANDS_OVER]
    if not sent:
        return []
    answers = msgspec.json.decode(said)
    taken = {each["result"] for each in (answers if isinstance(answers, list) else [answers]) if "result" in each}
    raws = [each["params"][0] for each in sent if isinstance(each.get("params"), list) and each["params"]]
    found = [Handed(hash=_hash(raw), raw=raw) for raw in raws if isinstance(raw, str)]
    return [each for each in found if each.hash in taken]


def _hash(raw: str) -> str:
    try:
        return faucet.hash_of(bytes.fromhex(raw.removeprefix("0x")))
    except ValueError:
        return ""


def _error(question: Any, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": question, "error": {"code": code, "message": message}}
