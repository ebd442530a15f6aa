"""What can go wrong, and what an answer looks like then."""

from __future__ import annotations

import fnmatch
import json
from collections import OrderedDict
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

#: drop: the node gets the request, and nobody its answer. duplicate: the node gets it twice. delay: it takes `seconds`.
#: stale: what was answered before is answered again, however old. limited: 429 with Retry-After of `seconds`.
#: html, truncated, huge, negative, missing: garbage. wrong_chain: the node says that it is of another chain.
Kind = Literal[
    "drop", "duplicate", "delay", "stale", "limited", "html", "truncated", "huge", "negative", "missing", "wrong_chain"
]
#: More than anybody waits for.
SECONDS_MAX = 300.0
#: A test that sets more has lost count.
FAULTS_MAX = 100
#: Answers that are kept for `stale`.
ANSWERS_MAX = 1_000
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"
#: More digits than any number of a chain has.
_HUGE = int("9" * 200)
#: What a node says of its chain, and what one of another chain says. Regtest's genesis block is none of theirs.
_ELSEWHERE: dict[str, Any] = {
    "eth_chainId": "0xdead",
    "net_version": "57005",
    "getGenesisHash": "11111111111111111111111111111112",
    "chain": "elsewhere",
    "network_passphrase": "Another network ; November 2026",
}


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong with calls of a method."""

    kind: Kind
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "*"
    #: So often; None: until it is taken away.
    times: Annotated[int, msgspec.Meta(ge=1)] | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=SECONDS_MAX)] = 1.0


class Faults:
    """What goes wrong now."""

    def __init__(self) -> None:
        self._set: list[Fault] = []
        self._answers: OrderedDict[bytes, bytes] = OrderedDict()

    def add(self, fault: Fault) -> None:
        assert len(self._set) < FAULTS_MAX, "there are enough faults"
        self._set.append(fault)

    def clear(self) -> None:
        self._set.clear()

    @property
    def all(self) -> list[Fault]:
        return list(self._set)

    def take(self, method: str) -> Fault | None:
        """What goes wrong with this call; it counts as done."""
        for fault in self._set:
            if fnmatch.fnmatchcase(method, fault.method):
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self._set.remove(fault)
                return fault
        return None

    def remember(self, question: bytes, answer: bytes) -> None:
        self._answers[question] = answer
        self._answers.move_to_end(question)
        if len(self._answers) > ANSWERS_MAX:
            self._answers.popitem(last=False)

    def remembered(self, question: bytes) -> bytes | None:
        return self._answers.get(question)


def spoilt(kind: Kind, body: bytes, method: str) -> bytes:
    """The answer as this kind of garbage."""
    if kind == "html":
        return HTML
    if kind == "truncated":
        return body[: len(body) // 2]
    document = json.loads(body)
    # Bitcoin Core before version 28 leaves `jsonrpc` out.
    if isinstance(document, dict) and {"id", "result"} <= document.keys():
        document["result"] = _changed(kind, document["result"], method)
    else:
        document = _changed(kind, document, method)
    return json.dumps(document).encode()


def _changed(kind: Kind, value: Any, method: str) -> Any:
    changes: dict[Kind, Callable[[Any], Any]] = {
        "huge": lambda found: _numbers(found, lambda _: _HUGE),
        "negative": lambda found: _numbers(found, lambda number: -abs(number) - 1),
        "missing": _without_members,
        "wrong_chain": lambda found: _elsewhere(found, method),
    }
    return changes[kind](value)


def _numbers(value: Any, change: Callable[[int], int]) -> Any:
    """With each number changed, also those that are written as text."""
    if isinstance(value, dict):
        return {name: _numbers(inner, change) for name, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner, change) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return change(int(value))
    return _text_number(value, change)


def _text_number(text: str, change: Callable[[int], int]) -> str:
    if text.isdecimal():
        return str(change(int(text)))
    if text.startswith("0x") and len(text) < len("0x") + 64:
        number = change(int(text, 16) if text != "0x" else 0)
        return f"{'-' if number < 0 else ''}{hex(abs(number))}"
    return text


def _without_members(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_members(inner) for inner in value]
    return {} if isinstance(value, dict) else None


def _elsewhere(value: Any, method: str) -> Any:
    if method in _ELSEWHERE:
        return _ELSEWHERE[method]
    if isinstance(value, dict):
        return {name: _ELSEWHERE.get(name, inner) for name, inner in value.items()}
    return value
