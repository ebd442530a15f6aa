"""A bucket of an object store that speaks the S3 protocol: each head is an object of its own, and none is overwritten.

An object's name is the size of its tree, so that the heads of two histories want the same name. Whichever is there
already stays, and the other one is refused: that is what heads are kept elsewhere for.

It is looked first what is there, for not every server knows the condition of the request that follows; where it is
known, whoever comes at the same moment can't overwrite it either.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from base64 import b64encode
from ipaddress import ip_address
from pathlib import Path

import httpx2
import msgspec

from billfold.audit import errors
from billfold.audit.adapters.sigv4 import Credentials, signed
from billfold.audit.domain import notes
from billfold.kernel.clock import Clock, SystemClock

#: From the look-up of the name to the last byte of one request.
TIMEOUT_S, CONNECT_TIMEOUT_S = 10.0, 3.0
#: What is no head of ours may be of any size; so much of an answer is read.
_BODY_MAX = 16 * 1024
_MEDIA_TYPE = "text/plain; charset=utf-8"
#: As many digits as the largest tree has, so that names are in the order of the sizes.
_DIGITS = 18
_OK, _REFUSED, _NOT_FOUND, _CHANGED, _NOT_IMPLEMENTED = 200, 403, 404, 412, 501
#: An error is XML; its code is told, and nothing else of it: some servers repeat what was signed.
_CODE = re.compile(rb"<Code>([A-Za-z0-9.]{1,60})</Code>")
#: What a server says for an object that is not there, if it says anything.
_NO_OBJECT = frozenset({"", "NoSuchKey"})


class _Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes

    @property
    def code(self) -> str:
        found = _CODE.search(self.body)
        return "" if found is None else found[1].decode()


class ObjectStore:
    """One bucket, and in it the objects of one prefix."""

    def __init__(
        self,
        *,
        endpoint: str,
        bucket: str,
        prefix: str,
        credentials: Credentials,
        tls_ca: Path | None,
        clock: Clock | None = None,
    ) -> None:
        self._endpoint = _checked(endpoint)
        self._folder = f"/{bucket}/{prefix}"
        self._credentials = credentials
        self._clock = clock or SystemClock()
        try:
            self._tls = ssl.create_default_context(cafile=None if tls_ca is None else str(tls_ca))
        except ssl.SSLError as error:
            raise ValueError(f"{tls_ca} holds no certificate in PEM form") from error
        self.name = f"s3 {self._endpoint}{self._folder}"

    async def publish(self, note: str) -> None:
        """Put the head where it belongs, unless it is there.

        Raises:
            HeadDiffers: another one is there.
            PublishingFailed: the store did not take it.
        """
        path = self._path(notes.read(note).head.size)
        if await self._is_there(path, note):
            return
        answer = await self._put(path, note, {"if-none-match": "*"})
        if answer.status == _NOT_IMPLEMENTED:
            answer = await self._put(path, note, {})
        # Another worker may have put it a moment ago.
        if answer.status != _OK and not (answer.status == _CHANGED and await self._is_there(path, note)):
            raise self._failed(answer)

    async def examine(self) -> str:
        """Ask for a head that nobody ever has, and so change nothing: what is known by the answer.

        Raises:
            PublishingFailed: the store does not answer, knows no such bucket, or does not let us look into it.
        """
        found = await self._asked("GET", self._path(0), b"", {})
        if found.status != _NOT_FOUND or found.code not in _NO_OBJECT:
            raise self._failed(found)
        return f"{self.name} answers and takes the keys; whether they may put heads there shows with the next head"

    def _path(self, size: int) -> str:
        return f"{self._folder}{size:0{_DIGITS}}.txt"

    async def _is_there(self, path: str, note: str) -> bool:
        found = await self._asked("GET", path, b"", {})
        if found.status == _NOT_FOUND and found.code in _NO_OBJECT:
            return False
        if found.status != _OK:
            raise self._failed(found)
        if found.body != note.encode():
            raise errors.HeadDiffers(
                f"{path} of {self._endpoint} is another signed head than the one that is kept here: one of the two "
                "histories was written anew. Neither is touched; compare them."
            )
        return True

    async def _put(self, path: str, note: str, condition: dict[str, str]) -> _Answer:
        body = note.encode()
        # A bucket that locks its objects takes none without the hash, and this one every server knows.
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        return await self._asked("PUT", path, body, {"content-type": _MEDIA_TYPE, "content-md5": md5, **condition})

    async def _asked(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> _Answer:
        # What is signed is what is sent: nothing may be compressed or added on the way.
        own = {"host": self._endpoint.netloc.decode(), "accept-encoding": "identity", **headers}
        sent = signed(self._credentials, method=method, path=path, headers=own, body=body, at=self._clock.now())
        timeout = httpx2.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        try:
            # No proxy of the environment: where heads go is said in the settings.
            async with (
                asyncio.timeout(TIMEOUT_S),
                httpx2.AsyncClient(verify=self._tls, trust_env=False, timeout=timeout) as client,
                client.stream(method, self._endpoint.copy_with(path=path), headers=sent, content=body) as answer,
            ):
                return _Answer(answer.status_code, await _read(answer))
        except TimeoutError:
            raise errors.PublishingFailed(f"{self.name} did not answer within {TIMEOUT_S:.0f} seconds.") from None
        except httpx2.HTTPError as error:
            raise errors.PublishingFailed(f"{self.name} does not answer: {type(error).__name__}.") from error

    def _failed(self, answer: _Answer) -> errors.PublishingFailed:
        said = f"{answer.status} {answer.code}".strip()
        hint = " Look at the keys, at what they may do there, and at the clock." if answer.status == _REFUSED else ""
        return errors.PublishingFailed(f"{self.name} answered {said}.{hint}")


async def _read(answer: httpx2.Response) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > _BODY_MAX:
            break
    return bytes(body)


def _checked(endpoint: str) -> httpx2.URL:
    """The address of a store.

    Raises:
        ValueError: it is none.
    """
    try:
        url = httpx2.URL(endpoint)
    except (httpx2.InvalidURL, ValueError):
        raise ValueError("it is no URL") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("it does not begin with https://")
    if url.userinfo or url.query or url.fragment or url.path not in {"", "/"}:
        raise ValueError("it has more in it than a name and a port")
    if url.scheme == "http" and not _is_loopback(url.host):
        raise ValueError("only a store on this machine is spoken to without https://")
    return httpx2.URL(f"{url.scheme}://{url.netloc.decode()}")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
