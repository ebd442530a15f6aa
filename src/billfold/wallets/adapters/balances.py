"""Pictures of wallets in a Redis: one hash for each wallet, with a field for each asset and the moment it was read.

A field is written over only by one with as many changes or more, and the moment is moved only if all fields were: so
what is kept never becomes older, whoever writes in which order, and it is never older than it says.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from uuid import UUID

from prometheus_client import Gauge
from redis.asyncio import Redis
from redis.exceptions import InvalidResponse, OutOfMemoryError, RedisError

from billfold.platform import redis
from billfold.wallets.contracts.pictures import Kept, Looked, Picture, WriteOutcome

#: The number is that of the format: another one gets another prefix, so versions don't read one another's.
PREFIX = "billfold:balances:1:"
#: Of wallets in one question. Their answers fit into what one may take by far.
BLOCK = 100

_READ_AT = b"read_at"
_NO_FLOOR = "-"

# It says again which wallet it is about: a connection on which answers have fallen behind their questions must show
# nobody the balance of somebody else.
LOOK = "return {KEYS[1], redis.call('TIME'), redis.call('HGETALL', KEYS[1])}"

# A count of changes and microseconds since 1970 are below 2^53, so Lua's numbers have them exactly. Amounts are not,
# and stay text. A moment that is yet to come was written before the clock was put back.
_WRITE = """
local whole = true
for place = 3, #ARGV, 2 do
    local known = redis.call('HGET', KEYS[1], ARGV[place])
    local before = known and tonumber(string.match(known, '^%d+'))
    if before and before > tonumber(string.match(ARGV[place + 1], '^%d+')) then
        whole = false
    else
        redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 1])
    end
end
if whole then
    local time = redis.call('TIME')
    local now = time[1] * 1000000 + time[2]
    local before = tonumber(redis.call('HGET', KEYS[1], 'read_at') or '')
    if not before or before < tonumber(ARGV[1]) or before > now then
        redis.call('HSET', KEYS[1], 'read_at', ARGV[1])
    end
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return whole and 1 or 0
"""


class BalancePictures:
    """Pictures of wallets in one Redis. Made by `opened`."""

    def __init__(self, client: Redis, line: redis.Line, *, keep_seconds: int) -> None:
        self.client = client
        self._line = line
        self._keep_ms = str(keep_seconds * 1000)
        self._look = client.register_script(LOOK)
        self._write = client.register_script(_WRITE)

    async def check(self) -> None:
        """Pass if the Redis answers now.

        Raises:
            RedisUnavailable.
        """
        await self._line.check()

    async def look(self, wallet_id: UUID) -> Looked:
        """What is kept of a wallet.

        Raises:
            RedisUnavailable.
        """
        (looked,) = await self.look_at_all([wallet_id])
        return looked

    async def look_at_all(self, wallet_ids: Sequence[UUID]) -> list[Looked]:
        """What is kept of each of up to BLOCK wallets.

        Raises:
            RedisUnavailable.
        """
        return await self._line.ask(lambda: self._looked(wallet_ids))

    async def now_us(self) -> int:
        """The clock by which ages are told. What is read after this was asked for is not older than it.

        Raises:
            RedisUnavailable.
        """
        return _us(await self._line.ask(self.client.time))

    async def keep(self, pictures: Mapping[UUID, Picture]) -> dict[UUID, WriteOutcome]:
        """Keep up to BLOCK pictures. Where there is no room for one, none of that wallet is kept any more.

        Raises:
            RedisUnavailable: perhaps some are kept.
        """
        answers = await self._line.ask(lambda: self._written(pictures))
        outcomes = dict(zip(pictures, map(_outcome, answers), strict=True))
        await self.forget([wallet_id for wallet_id, outcome in outcomes.items() if outcome == "full"])
        return outcomes

    async def forget(self, wallet_ids: Sequence[UUID]) -> None:
        """Keep nothing of these wallets.

        Raises:
            RedisUnavailable.
        """
        if wallet_ids:
            await self._line.ask(lambda: self.client.unlink(*map(_key, wallet_ids)))

    async def some(self, cursor: int) -> tuple[int, list[UUID]]:
        """Some of the wallets that are kept, and the cursor of the next ones: 0 is the begin, and means the end.

        Each wallet that is kept all the while comes at least once.

        Raises:
            RedisUnavailable.
        """
        following, keys = await self._line.ask(
            lambda: self.client.scan(cursor, match=f"{PREFIX}*", count=BLOCK, _type="HASH")
        )
        return following, [wallet_id for key in keys if (wallet_id := _wallet(key)) is not None]

    async def _looked(self, wallet_ids: Sequence[UUID]) -> list[Looked]:
        keys = [_key(wallet_id) for wallet_id in wallet_ids]
        if len(keys) == 1:
            answers = [await self._look(keys=keys)]
        else:
            async with self.client.pipeline(transaction=False) as pipe:
                for key in keys:
                    await self._look(keys=[key], client=pipe)
                answers = await pipe.execute()
        if [answer[0] for answer in answers] != [key.encode() for key in keys]:
            await self.client.connection_pool.disconnect()
            raise InvalidResponse("it has answered another question")
        return [
            Looked(at_us=_us(time), picture=_picture(dict(zip(fields[::2], fields[1::2], strict=True))))
            for _, time, fields in answers
        ]

    async def _written(self, pictures: Mapping[UUID, Picture]) -> list[object]:
        async with self.client.pipeline(transaction=False) as pipe:
            for wallet_id, picture in pictures.items():
                fields = [text for asset, kept in picture.accounts.items() for text in (asset, _text(kept))]
                await self._write(
                    keys=[_key(wallet_id)], args=[str(picture.read_at_us), self._keep_ms, *fields], client=pipe
                )
            answers: list[object] = await pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, RedisError) and not _is_full(answer):
                raise answer
        return answers


@contextlib.asynccontextmanager
async def opened(url: str, *, keep_seconds: int, gauge: Gauge) -> AsyncIterator[BalancePictures]:
    """Pictures in the Redis at `url`, until the block ends. It need not answer yet.

    Raises:
        ValueError: that is no address of a Redis.
    """
    pool = redis.connections(url)
    client = Redis(connection_pool=pool)
    look = client.register_script(LOOK)
    # One that is full or a replica can still be read.
    async with redis.opened(pool, name="balances", probe=lambda: look(keys=[PREFIX]), gauge=gauge) as line:
        yield BalancePictures(client, line, keep_seconds=keep_seconds)


def _key(wallet_id: UUID) -> str:
    return PREFIX + wallet_id.hex


def _wallet(key: bytes | str) -> UUID | None:
    """Whose key it is; None if somebody else has made it."""
    try:
        return UUID(hex=(key if isinstance(key, str) else key.decode())[len(PREFIX) :])
    except ValueError:
        return None


def _us(time: Sequence[bytes | int]) -> int:
    seconds, microseconds = time
    return int(seconds) * 1_000_000 + int(microseconds)


def _text(kept: Kept) -> str:
    floor = _NO_FLOOR if kept.floor is None else kept.floor
    return f"{kept.changes} {kept.version} {kept.posted} {kept.held} {floor} {kept.account.hex}"


def _picture(fields: Mapping[bytes, bytes]) -> Picture | None:
    """The picture of a hash; None if there is none, or somebody else has written there."""
    try:
        return Picture(
            read_at_us=int(fields[_READ_AT]),
            accounts={asset: _kept(asset, text) for asset, text in _by_asset(fields)},
        )
    except (KeyError, ValueError):
        return None


def _by_asset(fields: Mapping[bytes, bytes]) -> Iterator[tuple[str, bytes]]:
    for name, text in fields.items():
        if name != _READ_AT:
            yield name.decode(), text


def _kept(asset: str, text: bytes) -> Kept:
    changes, version, posted, held, floor, account = text.decode().split(" ")
    return Kept(
        account=UUID(hex=account),
        asset=asset,
        changes=int(changes),
        version=int(version),
        posted=int(posted),
        held=int(held),
        floor=None if floor == _NO_FLOOR else int(floor),
    )


def _outcome(answer: object) -> WriteOutcome:
    if isinstance(answer, Exception):
        return "full"
    return "written" if answer == 1 else "older"


def _is_full(error: RedisError) -> bool:
    return isinstance(error, OutOfMemoryError) or str(error).startswith("OOM")
