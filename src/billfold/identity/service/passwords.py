"""Hashes passwords with Argon2id (RFC 9106), in threads of its own, and not more at a time than the machine can spare.

What is hashed is the HMAC-SHA-256 of the password under the pepper, a secret that does not lie open beside the hashes:
whoever has read the database alone can't even begin to guess.
"""

from __future__ import annotations

import asyncio
import gzip
import hmac
import os
import sys
import threading
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from hashlib import sha256
from importlib import resources
from typing import TypeVar

import argon2
import msgspec
from prometheus_client import Gauge

from billfold.identity import errors
from billfold.identity.domain import passwords as domain

#: Nice of the threads: the kernel gives whoever posts transfers three times as much when both want a processor. With
#: ten times as much, nobody could log in while the machine is busy.
_NICENESS = 5
#: Nobody waits for longer in front of a login page.
WAIT_MAX_S = 10.0
_SALT_BYTES = 16
_HASH_BYTES = 32
_COMMON = "common_passwords.txt.gz"
_WAITING = Gauge("billfold_passwords_waiting", "Passwords that are being hashed or wait for it.")
T = TypeVar("T")


class Hashing(msgspec.Struct, frozen=True, kw_only=True):
    """What hashing takes: by default what RFC 9106 recommends for servers with less memory, in one lane."""

    #: Passes over the memory.
    passes: int = 3
    memory_mib: int = 64
    lanes: int = 1
    #: How many are hashed at a time; one for each two processors when not said.
    threads: int | None = None
    #: How many further ones may wait.
    queue_max: int = 64


class Verdict(msgspec.Struct, frozen=True):
    """Whether a password is the right one, and the hash to keep from now on if the old one is too cheap."""

    ok: bool
    rehash: str | None = None


class Passwords:
    """Hashes and verifies passwords."""

    def __init__(self, *, pepper: Callable[[], Awaitable[bytes]], hashing: Hashing | None = None) -> None:
        hashing = hashing or Hashing()
        self._pepper = pepper
        self._hasher = argon2.PasswordHasher(
            time_cost=hashing.passes,
            memory_cost=hashing.memory_mib * 1024,
            parallelism=hashing.lanes,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        self._nobodys = _hash_of_nothing(hashing)
        threads = hashing.threads or max(1, (os.cpu_count() or 1) // 2)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="passwords", initializer=_step_back)
        self._most = threads + hashing.queue_max
        self._waiting = 0

    def close(self) -> None:
        """End the threads; what waits is given up."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def check_free(self) -> None:
        """Go on only if one more could wait; before an attempt is counted that nobody would look at.

        Raises:
            PasswordsBusy.
        """
        if self._waiting >= self._most:
            raise errors.PasswordsBusy

    async def hash_new(self, password: str, *, personal: Iterable[str], pointer: str = "/password") -> str:
        """The hash of a new password. `personal` is what a user's password must not be: their own addresses and name.

        Raises:
            PasswordTooShort, PasswordTooLong, PasswordPersonal, PasswordTooCommon.
            PasswordsBusy: too many wait.
        """
        text = domain.check(password, common=_common(), personal=personal, pointer=pointer)
        return await self._run(partial(self._hasher.hash, await self._peppered(text)))

    async def verify(self, password: str, kept: str | None, *, pointer: str = "/password") -> Verdict:
        """Whether the password is that of the hash. Without a hash it is not, and that takes as long to find out.

        Raises:
            PasswordTooLong: it can be nobody's.
            PasswordsBusy: too many wait.
        """
        text = domain.normalised(password, pointer=pointer)
        return await self._run(partial(self._verify, await self._peppered(text), kept))

    async def _peppered(self, text: str) -> bytes:
        return hmac.digest(await self._pepper(), text.encode(), sha256)

    def _verify(self, peppered: bytes, kept: str | None) -> Verdict:
        """In a thread: the library lets go of the interpreter while it works."""
        try:
            self._hasher.verify(self._nobodys if kept is None else kept, peppered)
        except argon2.exceptions.VerifyMismatchError:
            return Verdict(ok=False)
        assert kept is not None, "what nobody has hashed is nobody's password"
        return Verdict(ok=True, rehash=self._hasher.hash(peppered) if self._hasher.check_needs_rehash(kept) else None)

    async def _run(self, work: Callable[[], T]) -> T:
        self.check_free()
        self._count(1)
        future = self._pool.submit(work)
        # Whoever hangs up takes back what has not begun; what has begun goes on, and counts until it ends.
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: _later(loop, self._count, -1))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), WAIT_MAX_S)
        except TimeoutError:
            raise errors.PasswordsBusy from None

    def _count(self, more: int) -> None:
        self._waiting += more
        _WAITING.set(self._waiting)


def _later(loop: asyncio.AbstractEventLoop, call: Callable[[int], None], more: int) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(call, more)


def _step_back() -> None:
    """Let everybody else go first. Linux has a niceness for each thread; elsewhere it is the whole process's."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _hash_of_nothing(hashing: Hashing) -> str:
    """A hash that no password is known for. Verifying against it takes what verifying against any other takes."""
    parameters = f"m={hashing.memory_mib * 1024},t={hashing.passes},p={hashing.lanes}"
    salt, digest = (b64encode(os.urandom(size)).rstrip(b"=").decode() for size in (_SALT_BYTES, _HASH_BYTES))
    return f"$argon2id$v=19${parameters}${salt}${digest}"


@cache
def _common() -> frozenset[str]:
    """Common passwords, lower-case, their words without what is around them (common_passwords.LICENSE), and our own."""
    packed = resources.files(__package__).joinpath(_COMMON).read_bytes()
    return domain.OUR_WORDS.union(gzip.decompress(packed).decode().split())
