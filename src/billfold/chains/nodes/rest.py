"""REST over HTTP with all nodes of a chain, as Horizon has it. Answers are read as `rpc` says."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar

import httpx2

from billfold.chains.nodes import Nodes, reading, wire
from billfold.chains.nodes.endpoints import Endpoint
from billfold.chains.nodes.failures import CallRefused, NodeFailed
from billfold.chains.nodes.pool import Ask, Pool, never
from billfold.chains.nodes.rpc import Read

Answer = TypeVar("Answer")
_OK = frozenset({200, 201, 202})
#: From here on it is the node's fault, not the call's.
_SERVER_ERROR = 500
_UNAUTHORIZED = frozenset({401, 403})
_NOTHING: Mapping[str, str] = {}


class Rest:
    """Reads resources of a chain's nodes, and hands transactions over."""

    def __init__(self, nodes: Nodes, *, chain: str) -> None:
        self._pool = Pool(nodes, chain=chain)

    async def get(self, path: str, query: Mapping[str, str] = _NOTHING, *, read: Read[Answer]) -> Answer:
        """What the best node answers.

        Raises:
            CallRefused: with a status of 400 to 499 (404: it is not there), and the document in `data`.
            NodeUnavailable, NodeWrong.
        """
        return await self._pool.read(self._get(path, query, read))

    async def agreed(
        self,
        path: str,
        query: Mapping[str, str] = _NOTHING,
        *,
        read: Read[Answer],
        key: Callable[[Answer], Hashable],
        at: int | None = None,
    ) -> Answer:
        """What as many nodes answer as the quorum wants, compared by `key`: for what decides about money.

        Raises:
            CallRefused: so many refuse.
            ProvidersDisagree, NodeUnavailable, NodeWrong.
        """
        return await self._pool.agreed(self._get(path, query, read), key=key, at=at)

    async def head(
        self,
        path: str,
        query: Mapping[str, str] = _NOTHING,
        *,
        read: Read[Answer],
        height: Callable[[Answer], int],
    ) -> Answer:
        """The highest head that the quorum has reached. Ask it often: by it nodes that are behind become known.

        Raises:
            NodeUnavailable, NodeWrong.
        """
        return await self._pool.head(self._get(path, query, read), height=height)

    async def broadcast(
        self,
        path: str,
        form: Mapping[str, str],
        *,
        read: Read[Answer],
        known: Callable[[CallRefused], bool] = never,
    ) -> Answer | None:
        """Hand a transaction to every node by a form, once. None: by its refusal (`known`) a node has it already.

        Raises:
            Refused: every node that answered refuses it; its `__cause__` is the first CallRefused.
            Uncertain: nobody knows whether a node has it; a 504 of Horizon's says just that.
        """

        async def ask(endpoint: Endpoint) -> Answer:
            content = str(httpx2.QueryParams(dict(form))).encode()
            url = wire.joined(endpoint, path, _NOTHING)
            status, body = await self._pool.wire.send(
                endpoint, "POST", url, content=content, kind="application/x-www-form-urlencoded"
            )
            return read(_checked(endpoint, status, body))

        return await self._pool.broadcast(ask, known=known)

    async def each(self, path: str, *, read: Read[Answer]) -> list[Answer]:
        """The answers of all nodes that give one: to check whether each is of the right chain.

        Raises:
            NodeUnavailable: none answers.
            NodeWrong: one refuses.
        """
        return await self._pool.each(self._get(path, _NOTHING, read))

    async def close(self) -> None:
        await self._pool.close()

    def _get(self, path: str, query: Mapping[str, str], read: Read[Answer]) -> Ask[Answer]:
        async def ask(endpoint: Endpoint) -> Answer:
            status, body = await self._pool.wire.send(endpoint, "GET", wire.joined(endpoint, path, query))
            return read(_checked(endpoint, status, body))

        return ask


def _checked(endpoint: Endpoint, status: int, body: bytes) -> Any:
    if status in _UNAUTHORIZED:
        raise NodeFailed("status", f"Node {endpoint.label} does not take our credentials ({status})", reached=False)
    if status >= _SERVER_ERROR:
        raise NodeFailed("status", f"Node {endpoint.label} answered with status {status}")
    answer = wire.document(endpoint, status, body)
    if status in _OK:
        return answer
    raise CallRefused(status, reading.shown(answer.get("title", "") if isinstance(answer, dict) else ""), answer)
