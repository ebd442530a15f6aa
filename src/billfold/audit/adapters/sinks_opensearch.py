"""A sink that speaks the HTTP of OpenSearch and Elasticsearch: a document for each record, with its key as its id.

Documents are only ever created. One that is there already is left as it is, so a record that comes again, however
late and from whichever process, changes nothing. There is an index for each month in which records happened: it is the
record's own, so it always goes to the same one, and old ones can be removed whole.

The bulk API is one address that takes lines of JSON, so the client is the one that everything else here uses.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import msgspec

from billfold.audit import errors
from billfold.audit.contracts import AuditRecord
from billfold.audit.domain import records

T = TypeVar("T")

CONNECT_TIMEOUT_S, TIMEOUT_S = 5.0, 30.0
#: Lucene takes no longer terms, and refuses the document.
_KEYWORD_MAX = 1_024
#: Created, or a conflict with the one that was.
_THERE = frozenset({200, 201, 409})
_OK, _BAD, _NOT_FOUND, _TOO_LARGE = 200, 400, 404, 413
#: What a document gets for it that is the index's fault.
_NOT_ITS_FAULT = frozenset({"validation_exception", "index_closed_exception"})
#: Of what it says so much is told.
_SAID_MAX = 500
#: With each change of the mapping, so that it is told to whoever has an older one.
_TEMPLATE_VERSION = 1

_KEYWORD = {"type": "keyword", "ignore_above": _KEYWORD_MAX}
_AS_IT_IS = {"type": "object", "enabled": False}
_MAPPING = {
    "dynamic": False,
    "_source": {"excludes": ["words"]},
    "properties": {
        "position": {"type": "long"},
        "time": {"type": "date", "ignore_malformed": True},
        **dict.fromkeys(("type", "source", "id", "subject", "outcome", "actor", "owner"), _KEYWORD),
        "origin": {
            "dynamic": False,
            "properties": dict.fromkeys(
                (*("channel", "address", "request_id", "credential_id", "owner_id", "user_id", "on_behalf_of"),),
                _KEYWORD,
            ),
        },
        # Whatever is in them, names become no fields, and nothing in them can be wrong. Their words are found, though.
        "before": _AS_IT_IS,
        "data": _AS_IT_IS,
        "words": {"type": "text"},
    },
}


class _Error(msgspec.Struct, frozen=True):
    type: str = ""
    reason: str | None = ""


class _Refused(msgspec.Struct, frozen=True):
    error: _Error


class _Written(msgspec.Struct, frozen=True):
    status: int
    error: _Error = _Error()


class _Item(msgspec.Struct, frozen=True):
    create: _Written


class _Bulk(msgspec.Struct, frozen=True):
    items: list[_Item] = []


class _Version(msgspec.Struct, frozen=True):
    number: str
    distribution: str = "elasticsearch"


class _About(msgspec.Struct, frozen=True):
    version: _Version


class _Template(msgspec.Struct, frozen=True):
    version: int = 0


class _Named(msgspec.Struct, frozen=True):
    index_template: _Template = _Template()


class _Templates(msgspec.Struct, frozen=True):
    index_templates: list[_Named] = []


_read_bulk = msgspec.json.Decoder(_Bulk).decode
_read_about = msgspec.json.Decoder(_About).decode
_read_templates = msgspec.json.Decoder(_Templates).decode
_read_refused = msgspec.json.Decoder(_Refused).decode
_encode = msgspec.json.Encoder().encode


class Opensearch:
    """The indexes of one prefix."""

    name = "opensearch"

    def __init__(self, *, url: str, user: str | None, password: str | None, tls_ca: Path | None, index: str) -> None:
        self._url, self._index = httpx2.URL(url), index
        if self._url.scheme not in {"http", "https"} or not self._url.host:
            raise ValueError("it begins with neither https:// nor http://")
        self._auth = None if user is None else httpx2.BasicAuth(user, password or "")
        # Reading the authorities takes a while, and a wrong file shall be told at the start.
        try:
            self._tls = ssl.create_default_context(cafile=None if tls_ca is None else str(tls_ca))
        except ssl.SSLError as error:
            raise ValueError(f"{tls_ca} holds no certificate in PEM form") from error

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[OpensearchTarget]:
        """As Sink.opened."""
        timeout = httpx2.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        # No proxy of the environment: where records go is said in the settings.
        async with httpx2.AsyncClient(
            base_url=self._url, auth=self._auth, verify=self._tls, timeout=timeout, trust_env=False
        ) as client:
            yield OpensearchTarget(client, self._index)


class OpensearchTarget:
    """The indexes, over a client that connects by itself."""

    def __init__(self, client: httpx2.AsyncClient, index: str) -> None:
        self._client = client
        self._index = index
        self._has_template = False

    async def write(self, told: Sequence[AuditRecord]) -> None:
        """As Target.write."""
        try:
            if not self._has_template:
                await self._make_template()
            _check_written(await self._bulk(told), len(told))
        except errors.SinkUnavailable:
            # It may come back empty.
            self._has_template = False
            raise

    async def examine(self) -> str:
        """As Target.examine."""
        answer = await self._asked("GET", "/")
        about = _read(_read_about, answer).version
        return f"{about.distribution} {about.number}"

    async def _bulk(self, told: Sequence[AuditRecord]) -> _Bulk:
        lines = b"".join(line + b"\n" for one in told for line in (self._action(one), _document(one)))
        answer = await self._asked("POST", "/_bulk?filter_path=items.*.status,items.*.error", lines)
        if answer.status_code in {_BAD, _TOO_LARGE}:
            # Of one document that is too much for it: then each comes alone. What is no answer of its own is another's.
            refused = _Error("too_large") if answer.status_code == _TOO_LARGE else None
            with suppress(msgspec.DecodeError):
                refused = _read_refused(answer.content).error
            if refused is not None:
                raise _refused(refused)
        return _read(_read_bulk, answer)

    def _action(self, told: AuditRecord) -> bytes:
        index = f"{self._index}-{told.time[:4]}.{told.time[5:7]}"
        return _encode({"create": {"_index": index, "_id": told.key}})

    async def _make_template(self) -> None:
        """Say how indexes are made from now on, where that is not said yet. What an operator has changed stays."""
        path = f"/_index_template/{self._index}"
        found = await self._asked("GET", f"{path}?filter_path=index_templates.index_template.version")
        known = _Templates() if found.status_code == _NOT_FOUND else _read(_read_templates, found)
        if all(one.index_template.version < _TEMPLATE_VERSION for one in known.index_templates):
            template = {"mappings": _MAPPING}
            wanted = {
                "index_patterns": [f"{self._index}-*"],
                "priority": 200,
                "version": _TEMPLATE_VERSION,
                "template": template,
            }
            _check(await self._asked("PUT", path, _encode(wanted)))
        self._has_template = True

    async def _asked(self, method: str, path: str, content: bytes | None = None) -> httpx2.Response:
        kind = "application/x-ndjson" if path.startswith("/_bulk") else "application/json"
        try:
            return await self._client.request(method, path, content=content, headers={"content-type": kind})
        except httpx2.HTTPError as error:
            raise errors.SinkUnavailable(f"The index does not answer: {type(error).__name__}.") from error


def _check_written(bulk: _Bulk, count: int) -> None:
    """Pass if all of them are there.

    Raises:
        SinkUnavailable, SinkRefused.
    """
    if len(bulk.items) != count:
        raise errors.SinkUnavailable(f"The index was given {count} records and answers about {len(bulk.items)}.")
    found = [one.create for one in bulk.items if one.create.status not in _THERE]
    for one in found:
        if one.status != _BAD or one.error.type in _NOT_ITS_FAULT:
            why = f"{one.status} {one.error.type}: {one.error.reason}"
            raise errors.SinkUnavailable(f"The index takes nothing now: {why}"[:_SAID_MAX])
    if found:
        raise _refused(found[0].error)


def _refused(why: _Error) -> errors.SinkRefused:
    return errors.SinkRefused(f"The index refuses it: {why.type}: {why.reason}"[:_SAID_MAX])


def _read(decode: Callable[[bytes], T], answer: httpx2.Response) -> T:
    """What it says.

    Raises:
        SinkUnavailable: it is no success, or not the answer of such an index.
    """
    _check(answer)
    try:
        return decode(answer.content)
    except msgspec.DecodeError as error:
        raise errors.SinkUnavailable(f"What answers is no OpenSearch: {answer.text[:100]!r}") from error


def _check(answer: httpx2.Response) -> None:
    if answer.status_code != _OK:
        raise errors.SinkUnavailable(f"The index answers {answer.status_code}: {answer.text[:_SAID_MAX]}")


def _document(told: AuditRecord) -> bytes:
    found: Mapping[str, Any] = msgspec.to_builtins(told)
    words = _encode([told.before, told.data]).decode()
    return _encode({**found, "actor": records.actor(told), "owner": records.owner(told), "words": words})
