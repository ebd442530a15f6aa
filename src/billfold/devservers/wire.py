"""The first words of each protocol, so that a server is called ready when it answers a client and not before.

By hand, because each is a few bytes, and a developer who starts a server need not have installed its client. A question
that gets no answer, or another than a ready server's, is answered by False.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

#: A server that has just started on a busy machine is slow.
ANSWER_TIMEOUT_S = 10.0
#: Far more than any of the answers has.
_ANSWER_MAX_BYTES = 1 << 20

_KAFKA_METADATA, _KAFKA_METADATA_VERSION = 3, 1
_CQL_VERSION, _CQL_STARTUP, _CQL_AUTHENTICATE = 4, 1, 3
_AMQP_METHOD_FRAME, _AMQP_CONNECTION, _AMQP_START = 1, 10, 10
_MONGO_OP_MSG = 2013

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]


async def kafka(port: int) -> bool:
    """Whether a Kafka knows of a broker and of the controller: what every client asks first."""
    request = struct.pack(">hhih", _KAFKA_METADATA, _KAFKA_METADATA_VERSION, 1, -1) + struct.pack(">i", 0)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(struct.pack(">i", len(request)) + request)
        answer = await _read(reader, *struct.unpack(">i", await reader.readexactly(4)))
        _, brokers = struct.unpack_from(">ii", answer)
        return bool(brokers)

    return await _asked(port, talk)


async def cassandra(port: int) -> bool:
    """Whether a Cassandra answers that it must know who asks. It listens only when it has all that it knows."""
    startup = struct.pack(">h", 1) + _cql_string("CQL_VERSION") + _cql_string("3.0.0")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(struct.pack(">BBhBi", _CQL_VERSION, 0, 0, _CQL_STARTUP, len(startup)) + startup)
        *_, answer, _ = struct.unpack(">BBhBi", await reader.readexactly(9))
        return bool(answer == _CQL_AUTHENTICATE)

    return await _asked(port, talk)


async def rabbitmq(port: int) -> bool:
    """Whether a RabbitMQ begins a connection. It listens only when its queues are restored."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"AMQP\x00\x00\x09\x01")
        kind, _, _, *method = struct.unpack(">BHIHH", await reader.readexactly(11))
        return (kind, *method) == (_AMQP_METHOD_FRAME, _AMQP_CONNECTION, _AMQP_START)

    return await _asked(port, talk)


async def redis(port: int) -> bool:
    """Whether a Redis answers a ping, if only that it must know who asks."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"PING\r\n")
        answer = await reader.readline()
        return answer == b"+PONG\r\n" or answer.startswith(b"-NOAUTH ")

    return await _asked(port, talk)


async def mongo(port: int) -> bool:
    """Whether something that speaks MongoDB's protocol says what it is."""
    elements = b"\x10isMaster\x00" + struct.pack("<i", 1) + b"\x02$db\x00" + struct.pack("<i", 6) + b"admin\x00\x00"
    document = struct.pack("<i", 4 + len(elements)) + elements
    message = struct.pack("<iiiIB", 1, 0, _MONGO_OP_MSG, 0, 0) + document

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(struct.pack("<i", 4 + len(message)) + message)
        (size,) = struct.unpack("<i", await reader.readexactly(4))
        return b"maxWireVersion" in await _read(reader, size - 4)

    return await _asked(port, talk)


async def opensearch(port: int) -> bool:
    """Whether an OpenSearch has found the data that it was left with."""
    question = b"GET /_cluster/health?wait_for_status=yellow&timeout=5s HTTP/1.1\r\nHost: localhost\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(question)
        return b" 200 " in await reader.readline()

    return await _asked(port, talk)


async def s3(port: int) -> bool:
    """Whether something that speaks the S3 protocol answers, if only that it must know who asks."""
    question = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(question)
        head = await reader.readuntil(b"\r\n\r\n")
        return b" 403 " in head.partition(b"\r\n")[0] and b"x-amz-request-id" in head.lower()

    return await _asked(port, talk)


async def _asked(port: int, talk: Talk) -> bool:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                return await talk(reader, writer)
            finally:
                writer.close()
    except (OSError, EOFError, TimeoutError, struct.error):
        return False


async def _read(reader: asyncio.StreamReader, size: int) -> bytes:
    if not 0 <= size <= _ANSWER_MAX_BYTES:
        raise EOFError
    return await reader.readexactly(size)


def _cql_string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()
