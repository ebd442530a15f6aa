"""Hashing passwords in threads of their own; with cheap parameters, since it is about the threads."""

import asyncio
import hmac
import os
import sys
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256

import argon2
import pytest

from billfold.identity import errors
from billfold.identity.service import passwords
from billfold.identity.service.passwords import Hashing, Passwords

CHEAP = Hashing(passes=1, memory_mib=1, threads=1)
PASSWORD = "correct horse battery staple"
PEPPER = bytes(range(32))

Make = Callable[..., Passwords]


async def pepper() -> bytes:
    return PEPPER


@pytest.fixture
def make() -> Iterator[Make]:
    made = []

    def one(**more: object) -> Passwords:
        made.append(Passwords(**{"pepper": pepper, "hashing": CHEAP, **more}))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for each in made:
        each.close()


async def test_a_password_is_verified_by_its_hash(make: Make) -> None:
    hasher = make()
    kept = await hasher.hash_new(PASSWORD, personal=())
    assert (await hasher.verify(PASSWORD, kept)).ok
    assert not (await hasher.verify(PASSWORD + "!", kept)).ok
    assert kept != await hasher.hash_new(PASSWORD, personal=())


async def test_the_default_is_argon2id_with_64_mib_in_3_passes(make: Make) -> None:
    kept = await make(hashing=None).hash_new(PASSWORD, personal=())
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=1$")


async def test_what_is_hashed_is_peppered(make: Make) -> None:
    kept = await make().hash_new(PASSWORD, personal=())
    library = argon2.PasswordHasher()
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        library.verify(kept, PASSWORD)
    library.verify(kept, hmac.digest(PEPPER, PASSWORD.encode(), sha256))

    async def other() -> bytes:
        return bytes(32)

    assert not (await make(pepper=other).verify(PASSWORD, kept)).ok


async def test_a_password_is_the_same_in_every_normal_form(make: Make) -> None:
    hasher = make()
    kept = await hasher.hash_new("cafe\u0301 au lait, \uff50lease", personal=())
    assert (await hasher.verify("café au lait, please", kept)).ok


async def test_nobodys_password_is_never_right_and_costs_the_same(make: Make) -> None:
    hasher = make()
    assert not (await hasher.verify(PASSWORD, None)).ok
    known = argon2.extract_parameters(await hasher.hash_new(PASSWORD, personal=()))
    assert argon2.extract_parameters(hasher._nobodys) == known


async def test_a_hash_from_cheaper_times_is_replaced(make: Make) -> None:
    old, new = make(), make(hashing=Hashing(passes=2, memory_mib=2))
    kept = await old.hash_new(PASSWORD, personal=())
    assert (await old.verify(PASSWORD, kept)).rehash is None
    verdict = await new.verify(PASSWORD, kept)
    assert verdict.ok
    assert verdict.rehash is not None
    assert verdict.rehash.startswith("$argon2id$v=19$m=2048,t=2,p=1$")
    assert (await new.verify(PASSWORD, verdict.rehash)).rehash is None
    assert (await new.verify("wrong " + PASSWORD, kept)).rehash is None


async def test_only_so_many_wait_and_the_rest_is_told_at_once(make: Make) -> None:
    go_on = threading.Event()
    hasher = make(hashing=Hashing(passes=1, memory_mib=1, threads=1, queue_max=2))
    waiting = [asyncio.create_task(hasher._run(lambda: go_on.wait(20))) for _ in range(3)]
    await _a_few_turns()
    with pytest.raises(errors.PasswordsBusy):
        await hasher.verify(PASSWORD, None)
    # Whoever hangs up makes room for somebody else.
    waiting[-1].cancel()
    await _a_few_turns()
    another = asyncio.create_task(hasher.verify(PASSWORD, None))
    await _a_few_turns()
    with pytest.raises(errors.PasswordsBusy):
        await hasher.verify(PASSWORD, None)
    go_on.set()
    assert not (await another).ok
    await _a_few_turns()
    assert hasher._waiting == 0


async def _a_few_turns() -> None:
    """What is ready on the event loop runs."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_oversized_passwords_are_never_hashed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = make()

    def never(*_: object) -> None:
        raise AssertionError("it was worked on")

    monkeypatch.setattr(hasher._pool, "submit", never)
    for size in (513, 100_000):
        with pytest.raises(errors.PasswordTooLong):
            await hasher.verify("x" * size, None)
        with pytest.raises(errors.PasswordTooLong):
            await hasher.hash_new("x" * size, personal=())


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
async def test_hashing_gives_way_to_everything_else(make: Make) -> None:
    hasher = make()
    niceness = await hasher._run(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    assert niceness == passwords._NICENESS
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < niceness
