"""Sends requests, and repeats them where a repeat is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Protocol, Self

import httpx2
import msgspec

import billfold
from billfold.app import pages
from billfold.app.client.errors import (
    AnswerUnreadable,
    ApiRefusal,
    ApiUnreachable,
    GatewayFailed,
    Json,
    UrlInvalid,
    refusal,
)
from billfold.platform import tls

PREFIX = "/api/v1"
#: Whoever listens at all accepts within this, also across an ocean.
CONNECT_TIMEOUT_S = 5.0
#: A thousand transfers on a busy machine take a second or two; a minute means that no answer will come.
ANSWER_TIMEOUT_S = 60.0
#: A person who waits at a terminal wants to know after this.
PATIENCE_S = 10.0
#: The pause before the first repeat; each further one is twice as long, up to the longest.
PAUSE_S = 0.05
PAUSE_MAX_S = 5.0
#: Connections for those who send several requests at once.
CONNECTIONS_MAX = 16
PAGE_SIZE = 100

_FAILED = 400
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_MISSING_SCOPE = "missing_scope"
Params = Mapping[str, object]


class Answer(msgspec.Struct, frozen=True):
    """What the API has answered, and whether it had answered the same request before."""

    status: int
    body: Any
    replayed: bool = False


class Bearer(Protocol):
    """A login, whose tokens change."""

    async def token(self) -> str:
        """One that is good for a while."""
        ...

    async def renewed(self, worn: str) -> str:
        """Another one than this, which the API has refused."""
        ...


class Api:
    """One API, spoken to with one key, or by one login. Use it as an async context manager.

    A request is repeated when it can't do harm: it reads, it carries an idempotency key, or it never got through.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str | None,
        login: Bearer | None = None,
        certificate: Path | None = None,
        patience_s: float = PATIENCE_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """`patience_s` is how long a request is repeated for; `transport` is for tests.

        The stack on this machine is known by its `certificate`, any other API by a signer whom this machine trusts.

        Raises:
            UrlInvalid: no http or https URL.
            CertificateUnusable
        """
        self.url = base_url(url)
        self.key = key
        self.certificate = certificate
        self._login = login
        self.patience_s = patience_s
        self._reached = False
        headers = {"user-agent": f"billfold/{billfold.__version__}", "accept": "application/json"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            limits=httpx2.Limits(max_connections=CONNECTIONS_MAX),
            # Certificates take longer to load than many a command takes, and plain HTTP has none.
            verify=self.url.startswith("https:") if certificate is None else tls.known_context(certificate),
            # No proxy leads to this machine.
            trust_env=not _is_local(self.url),
            transport=transport,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    @property
    def is_nobody(self) -> bool:
        """Whether requests carry no credentials."""
        return self.key is None and self._login is None

    async def get(self, path: str, params: Params | None = None, *, prefer: str | None = None) -> Any:
        """The JSON at `path`; parameters that are None are left out. `prefer` is how it is best answered (RFC 7240).

        Raises: ApiUnreachable, ApiRefusal, AnswerUnreadable; so do the other methods.
        """
        return (await self.request("GET", path, params=params, prefer=prefer, repeatable=True)).body

    async def patch(self, path: str, body: object) -> Any:
        """Change what is at `path`. The same change twice is one change, so it may be repeated."""
        return (await self.request("PATCH", path, body=body, repeatable=True)).body

    async def put(self, path: str, body: object) -> Answer:
        """Put something at `path`. Twice is as once, so it may be repeated."""
        return await self.request("PUT", path, body=body, repeatable=True)

    async def post(
        self,
        path: str,
        body: object = None,
        *,
        key: str | None = None,
        step_up: str | None = None,
        prefer: str | None = None,
        repeatable: bool = False,
    ) -> Answer:
        """Send a command, with an idempotency key where there is one, which makes it `repeatable`.

        `step_up` names the challenge by which a factor has confirmed it.
        """
        repeatable = repeatable or key is not None
        return await self.request(
            "POST", path, body=body, key=key, step_up=step_up, prefer=prefer, repeatable=repeatable
        )

    async def delete(self, path: str) -> Any:
        """Take away what is at `path`."""
        return (await self.request("DELETE", path, repeatable=True)).body

    async def pages(self, path: str, params: Params | None = None, *, limit: int) -> AsyncIterator[Json]:
        """Up to `limit` items of a list, page by page."""
        page = await self.get(path, {**(params or {}), "limit": min(limit, PAGE_SIZE)})
        while True:
            for item in page["items"][:limit]:
                yield item
            limit -= len(page["items"])
            if limit <= 0 or page["next"] is None:
                return
            page = await self.get(page["next"].removeprefix(PREFIX))

    @asynccontextmanager
    async def stream(self, path: str, params: Params | None = None) -> AsyncIterator[AsyncIterator[bytes]]:
        """The bytes of a long answer as they come. What has begun is not repeated."""
        request = self._http.build_request("GET", self.url + PREFIX + path, params=_present(params))
        try:
            response = await self._send(request, stream=True)
            try:
                if response.status_code >= _FAILED:
                    await response.aread()
                    raise refusal(response)
                yield response.aiter_bytes()
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        body: object = None,
        key: str | None = None,
        step_up: str | None = None,
        prefer: str | None = None,
        repeatable: bool = False,
    ) -> Answer:
        """Send one request, and again while that is safe, may help and `patience_s` lasts."""
        request = self._http.build_request(
            method,
            self.url + PREFIX + path,
            params=_present(params),
            content=None if body is None else msgspec.json.encode(body),
            headers=_headers(body, key, step_up, prefer),
        )
        try:
            return await self._patiently(request, repeatable=repeatable)
        except (ApiUnreachable, GatewayFailed, ApiRefusal) as error:
            error.idempotency_key = key
            raise

    async def _patiently(self, request: httpx2.Request, *, repeatable: bool) -> Answer:
        deadline = monotonic() + self.patience_s
        pause_s = PAUSE_S
        while True:
            try:
                return await self._once(request)
            except httpx2.TransportError as error:
                never_sent = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
                # Where nobody has ever answered, nothing is running; waiting for it would only look like hanging.
                hopeless = never_sent and not self._reached
                if hopeless or not (repeatable or never_sent) or monotonic() + pause_s > deadline:
                    raise self._unreachable(error) from error
            except (ApiRefusal, GatewayFailed) as refused:
                if isinstance(refused, ApiRefusal):
                    pause_s = max(pause_s, refused.retry_after_s)
                if not (refused.retryable and repeatable) or monotonic() + pause_s > deadline:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, PAUSE_MAX_S)

    async def _once(self, request: httpx2.Request) -> Answer:
        response = await self._send(request)
        self._reached = True
        if response.status_code >= _FAILED:
            raise refusal(response)
        try:
            body = msgspec.json.decode(response.content) if response.content else None
        except msgspec.DecodeError as error:
            raise AnswerUnreadable(f"{self.url} does not answer like Billfold; check --url.") from error
        return Answer(response.status_code, body, response.headers.get("idempotency-replayed") == "true")

    async def _send(self, request: httpx2.Request, *, stream: bool = False) -> httpx2.Response:
        """Send it in the name of the login, if there is one; with another token when the first is refused.

        A token carries what its bearer's roles allowed when it was made, so a role that is new takes another one too.
        """
        if self._login is None:
            return await self._http.send(request, stream=stream)
        token = await self._login.token()
        request.headers["authorization"] = f"Bearer {token}"
        response = await self._http.send(request, stream=stream)
        if not await _may_be_the_tokens(response):
            return response
        await response.aclose()
        request.headers["authorization"] = f"Bearer {await self._login.renewed(token)}"
        return await self._http.send(request, stream=stream)

    def _unreachable(self, error: httpx2.TransportError) -> ApiUnreachable:
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            found = ApiUnreachable(f"Nothing answers at {self.url}.")
        else:
            found = ApiUnreachable(f"The connection to {self.url} was lost before the answer came.")
        found.was_reached = self._reached
        return found


async def _may_be_the_tokens(response: httpx2.Response) -> bool:
    """Whether another token may get another answer than this."""
    if response.status_code == _FORBIDDEN:
        await response.aread()
        return refusal(response).code == _MISSING_SCOPE
    return response.status_code == _UNAUTHORIZED


def base_url(url: str) -> str:
    """The address without a path of ours, which people copy along.

    Raises: UrlInvalid.
    """
    text = url.rstrip("/").removesuffix(PREFIX)
    try:
        parsed = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise UrlInvalid(f"{url!r} is not the address of an API, such as http://127.0.0.1:8080.") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise UrlInvalid(f"{url!r} is not the address of an API, such as http://127.0.0.1:8080.")
    return text


def _is_local(url: str) -> bool:
    host = httpx2.URL(url).host
    return host == pages.LOCALHOST or pages.is_loopback(host)


def _headers(body: object, key: str | None, step_up: str | None, prefer: str | None) -> dict[str, str]:
    headers = {}
    if body is not None:
        headers["content-type"] = "application/json"
    if key is not None:
        headers["idempotency-key"] = key
    if step_up is not None:
        headers["step-up"] = step_up
    if prefer is not None:
        headers["prefer"] = prefer
    return headers


def _present(params: Params | None) -> dict[str, str] | None:
    if params is None:
        return None
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in params.items()
        if value is not None
    }
