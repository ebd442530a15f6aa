"""A sink that speaks MongoDB's protocol: a document for each record, with the record's key as its `_id`.

Documents are only ever inserted. One that is there already is left as it is, so a record that comes again, however late
and from whichever process, changes nothing. A write counts when a majority has it in its journal.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import bson
import msgspec
import pymongo
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri

from billfold.audit import errors
from billfold.audit.contracts import AuditRecord
from billfold.audit.domain import records
from billfold.kernel import clock

#: To find a server, and for a whole write with what the client repeats of it by itself.
SELECT_TIMEOUT_S, TIMEOUT_S = 5.0, 20.0
#: What people look for, each with the newest first.
_INDEXED = ("position", "at", "type", "subject", "actor", "owner", "outcome", "origin.request_id")
#: MongoDB takes a hundred levels, and refuses the whole write for one document that has more.
_DEPTH_MAX = 80
#: Error codes (github.com/mongodb/mongo, error_codes.yml): there already; an index with other options, or another
#: name, which is its operator's; and what is wrong with this one document, whenever it is tried.
_DUPLICATE = 11000
_INDEX_DIFFERS = frozenset({85, 86})
_REFUSALS = frozenset({2, 9, 14, 15, 22, 52, 57, 121, 10334, 17280})


class Mongodb:
    """A collection of a database that speaks MongoDB's protocol."""

    name = "mongodb"

    def __init__(
        self, *, url: str, user: str | None, password: str | None, tls_ca: Path | None, database: str, collection: str
    ) -> None:
        options: dict[str, Any] = {"username": user, "password": password}
        if tls_ca is not None:
            options |= {"tls": True, "tlsCAFile": str(tls_ca)}
        self._options = {name: value for name, value in options.items() if value is not None}
        self._url, self._database, self._collection = url, database, collection
        _check(url)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[MongodbTarget]:
        """As Sink.opened."""
        async with AsyncMongoClient[dict[str, Any]](
            self._url,
            appname="billfold",
            w="majority",
            journal=True,
            timeoutMS=int(TIMEOUT_S * 1000),
            serverSelectionTimeoutMS=int(SELECT_TIMEOUT_S * 1000),
            **self._options,
        ) as client:
            yield MongodbTarget(client, self._database, self._collection)


class MongodbTarget:
    """The collection, over a client that connects by itself."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], database: str, collection: str) -> None:
        self._client = client
        self._collection: AsyncCollection[Any] = client[database][collection]
        self._has_indexes = False

    async def write(self, told: Sequence[AuditRecord]) -> None:
        """As Target.write."""
        documents = [_document(one) for one in told]
        try:
            if not self._has_indexes:
                await self._make_indexes()
            await self._collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            _check_written(error)
        except PyMongoError as error:
            # It may come back empty.
            self._has_indexes = False
            raise _unavailable(error) from error

    async def examine(self) -> str:
        """As Target.examine."""
        try:
            # Somebody waits for the answer.
            with pymongo.timeout(SELECT_TIMEOUT_S):
                found = await self._client.server_info()
                await self._collection.find_one({"_id": ""})
        except PyMongoError as error:
            raise _unavailable(error) from error
        return f"MongoDB {found['version']}"

    async def _make_indexes(self) -> None:
        for field in _INDEXED:
            try:
                await self._collection.create_indexes([IndexModel([(field, -1)])])
            except OperationFailure as error:
                if error.code not in _INDEX_DIFFERS:
                    raise
        self._has_indexes = True


def _check(url: str) -> None:
    """Pass if it is an address. What mongodb+srv:// stands for, only the name service knows.

    Raises: ValueError.
    """
    if url.startswith("mongodb+srv://"):
        return
    try:
        parse_uri(url, validate=True, warn=False)
    except PyMongoError as error:
        raise ValueError(str(error).rstrip(".")) from error


def _document(told: AuditRecord) -> RawBSONDocument:
    found: dict[str, Any] = {"_id": told.key, **msgspec.to_builtins(told)}
    found |= {"at": clock.parse(told.time), "actor": records.actor(told), "owner": records.owner(told)}
    if not _deeper(found, _DEPTH_MAX):
        with suppress(bson.errors.BSONError, OverflowError):
            return RawBSONDocument(bson.encode(found))
    # JSON has numbers and names that BSON has not.
    texts = {name: msgspec.json.encode(found[name]).decode() for name in ("before", "data")}
    return RawBSONDocument(bson.encode(found | texts))


def _deeper(value: object, levels: int) -> bool:
    """Whether there are more levels in it."""
    if isinstance(value, Mapping):
        return levels == 0 or any(_deeper(inner, levels - 1) for inner in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deeper(inner, levels - 1) for inner in value)
    return False


def _check_written(error: BulkWriteError) -> None:
    """Pass if all of them are there.

    Raises:
        SinkUnavailable, SinkRefused.
    """
    found = [one for one in error.details.get("writeErrors", []) if one["code"] != _DUPLICATE]
    waiting = [one for one in found if one["code"] not in _REFUSALS]
    waiting += error.details.get("writeConcernErrors", [])
    if waiting:
        raise errors.SinkUnavailable(f"MongoDB takes nothing now: {waiting[0].get('errmsg')}") from error
    if found:
        raise errors.SinkRefused(f"MongoDB refuses it: {found[0].get('errmsg')}") from error


def _unavailable(error: PyMongoError) -> errors.SinkUnavailable:
    return errors.SinkUnavailable(f"MongoDB does not take records: {type(error).__name__}: {error}"[:500])
