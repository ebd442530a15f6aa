"""Single HTTP exchanges with a node: time, size and kind of what comes back are bounded."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx2

from billfold.chains.errors import NodeWrong
from billfold.chains.nodes import reading
from billfold.chains.nodes.endpoints import IN_FLIGHT_MAX, Endpoint
from billfold.chains.nodes.failures import NodeFailed

#: A full block of any of the chains is smaller, also with everything that was said about it.
BODY_MAX = 64 * 1024**2
CONNECT_TIMEOUT_S = 3.0
#: Of a Retry-After that can't be read.
REST_S = 5.0
_TOO_MANY_REQUESTS = 429
_SERVICE_UNAVAILABLE = 503
_LIMITED = frozenset({_TOO_MANY_REQUESTS, _SERVICE_UNAVAILABLE})


class Wire:
    """Connections to all nodes of a chain."""

    def __init__(self, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        # No proxy of the environment and no redirect: a call goes where the settings say. Nothing is compressed, since
        # what is small on the way could be large when it is here.
        self._client = httpx2.AsyncClient(
            verify=_tls(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=IN_FLIGHT_MAX),
            headers={"accept": "application/json", "accept-encoding": "identity"},
        )

    async def send(
        self, endpoint: Endpoint, method: str, url: httpx2.URL, *, content: bytes | None = None, kind: str | None = None
    ) -> tuple[int, bytes]:
        """The status and what came with it.

        Raises:
            NodeFailed: nothing came, too late, too much, or that there is too much to do.
        """
        headers = {} if kind is None else {"content-type": kind}
        try:
            # The clock runs from the first byte sent to the last one read: a node that drips is given up on.
            async with asyncio.timeout(self._timeout_s):
                request = self._client.build_request(method, url, content=content, headers=headers)
                return await self._exchanged(request, endpoint)
        except (TimeoutError, httpx2.TimeoutException) as late:
            reached = not isinstance(late, httpx2.ConnectTimeout | httpx2.PoolTimeout)
            raise NodeFailed(
                "timeout", f"Node {endpoint.label} did not answer within {self._timeout_s:g} s", reached=reached
            ) from None
        except httpx2.ConnectError:
            raise NodeFailed("unreachable", f"Node {endpoint.label} can't be reached", reached=False) from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            # The library's words may have the address in them.
            raise NodeFailed("broken_off", f"Node {endpoint.label} broke off ({type(error).__name__})") from None

    async def close(self) -> None:
        await self._client.aclose()

    async def _exchanged(self, request: httpx2.Request, endpoint: Endpoint) -> tuple[int, bytes]:
        response = await self._client.send(request, stream=True)
        try:
            if response.status_code in _LIMITED and (rest_s := _rest_s(response)) is not None:
                raise NodeFailed(
                    "limited", f"Node {endpoint.label} asks to be asked less often", reached=False, rest_s=rest_s
                )
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > BODY_MAX:
                    raise NodeFailed("wrong", f"Node {endpoint.label} sent more than {BODY_MAX} bytes")
            return response.status_code, bytes(body)
        finally:
            await response.aclose()


def document(endpoint: Endpoint, status: int, body: bytes) -> Any:
    """The JSON that came back.

    Raises:
        NodeFailed: none did; by the status it is known whose fault that is.
    """
    try:
        return reading.document(body)
    except NodeWrong as wrong:
        detail = f"Node {endpoint.label} answered with status {status} and no JSON"
        raise NodeFailed("wrong" if status < httpx2.codes.BAD_REQUEST else "status", detail) from wrong


def joined(endpoint: Endpoint, path: str, query: Mapping[str, str]) -> httpx2.URL:
    """The address of a resource below the endpoint's, which may have a path and a query with its key."""
    base = endpoint.url
    url = base.copy_with(path=f"{base.path.rstrip('/')}/{path.lstrip('/')}")
    return url.copy_merge_params(dict(query)) if query else url


@cache
def _tls() -> ssl.SSLContext:
    """With the certificates that the system trusts; reading them takes a while."""
    return ssl.create_default_context()


def _rest_s(response: httpx2.Response) -> float | None:
    """How long a node wants to be left alone; None: a 503 without a word of it is like any other fault."""
    said = response.headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:4])
    return REST_S if response.status_code == _TOO_MANY_REQUESTS else None
