"""JSON-RPC over HTTP with all nodes of a chain (https://www.jsonrpc.org/specification; bitcoind's 1.0 is near enough).

An answer is read by a function of the adapter's, `read`, which raises NodeWrong for what can't be: the next node is
asked then. `as_it_is` reads nothing and gives the document, with whole numbers and Decimals.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Hashable
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

from billfold.chains.errors import NodeWrong
from billfold.chains.nodes import Nodes, reading, wire
from billfold.chains.nodes.endpoints import Endpoint
from billfold.chains.nodes.failures import CallRefused, NodeFailed
from billfold.chains.nodes.pool import Ask, Pool, never

Answer = TypeVar("Answer")
Read = Callable[[Any], Answer]
_UNAUTHORIZED = frozenset({401, 403})


def as_it_is(answer: Any) -> Any:
    """The document as the node sent it."""
    return answer


class Rpc:
    """Calls methods of a chain's nodes."""

    def __init__(self, nodes: Nodes, *, chain: str, away: AbstractSet[int] = frozenset()) -> None:
        """`away` are the error numbers by which a node says that another should be asked: it starts, or is behind."""
        self._pool = Pool(nodes, chain=chain)
        self._away = away
        self._numbers = itertools.count(1)

    async def call(self, method: str, *params: Any, read: Read[Answer]) -> Answer:
        """What the best node answers.

        Raises:
            CallRefused: the node answers with an error; it is a NodeWrong for whoever does not catch it.
            NodeUnavailable, NodeWrong.
        """
        return await self._pool.read(self._ask(method, params, read))

    async def agreed(
        self,
        method: str,
        *params: Any,
        read: Read[Answer],
        key: Callable[[Answer], Hashable],
        at: int | None = None,
        lacks: Callable[[CallRefused], bool] = never,
    ) -> Answer:
        """What as many nodes answer as the quorum wants, compared by `key`: for what decides about money.

        `at` is the height that a node must have to know it. Who by a refusal `lacks` it has no say.

        Raises:
            CallRefused: so many refuse, or so many lack it that no quorum can be had.
            ProvidersDisagree, NodeUnavailable, NodeWrong.
        """
        return await self._pool.agreed(self._ask(method, params, read), key=key, at=at, lacks=lacks)

    async def answers(self, method: str, *params: Any, read: Read[Answer]) -> list[Answer]:
        """What each node answers that may be asked now: for what they need not agree on, such as what a block costs.

        Raises:
            CallRefused: none answers, and one refuses.
            NodeUnavailable, NodeWrong.
        """
        return await self._pool.answers(self._ask(method, params, read))

    async def head(self, method: str, *params: Any, read: Read[Answer], height: Callable[[Answer], int]) -> Answer:
        """The highest head that the quorum has reached. Ask it often: by it nodes that are behind become known.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        return await self._pool.head(self._ask(method, params, read), height=height)

    async def broadcast(
        self,
        method: str,
        *params: Any,
        read: Read[Answer],
        known: Callable[[CallRefused], bool] = never,
    ) -> Answer | None:
        """Hand a transaction to every node, once. None: none took it, but by its refusal (`known`) one has it already.

        Raises:
            Refused: every node that answered refuses it; its `__cause__` is the first CallRefused.
            Uncertain: nobody knows whether a node has it.
        """
        return await self._pool.broadcast(self._ask(method, params, read), known=known)

    async def each(self, method: str, *params: Any, read: Read[Answer]) -> list[Answer]:
        """The answers of all nodes that give one: to check whether each is of the right chain.

        Raises:
            NodeUnavailable: none answers.
            NodeWrong: one refuses.
        """
        return await self._pool.each(self._ask(method, params, read))

    async def close(self) -> None:
        await self._pool.close()

    def _ask(self, method: str, params: tuple[Any, ...], read: Read[Answer]) -> Ask[Answer]:
        async def ask(endpoint: Endpoint) -> Answer:
            number = next(self._numbers)
            call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            status, body = await self._pool.wire.send(
                endpoint, "POST", endpoint.url, content=json.dumps(call).encode(), kind="application/json"
            )
            return read(self._result(endpoint, number, status, body))

        return ask

    def _result(self, endpoint: Endpoint, number: int, status: int, body: bytes) -> Any:
        if status in _UNAUTHORIZED:
            raise NodeFailed("status", f"Node {endpoint.label} does not take our credentials ({status})", reached=False)
        answer = wire.document(endpoint, status, body)
        if not isinstance(answer, dict) or answer.get("id") != number:
            raise NodeFailed("wrong", f"Node {endpoint.label} answered with status {status} to another question")
        if answer.get("error") is not None:
            self._refuse(endpoint, answer["error"])
        if "result" not in answer:
            raise NodeWrong("A node's answer has neither a result nor an error.")
        return answer["result"]

    def _refuse(self, endpoint: Endpoint, error: Any) -> None:
        number = reading.whole(reading.member(error, "code"), "code", least=-(2**31), most=2**31)
        message = reading.shown(error.get("message", ""))
        if number in self._away:
            raise NodeFailed("behind", f"Node {endpoint.label} can't answer now: {message}", reached=False)
        raise CallRefused(number, message, error.get("data"))
