"""A process that accepts, carries out or cancels a request and is killed at a step: `dying DSN ACT STEP BY REQUEST`.

The steps are those of `wallets.service.carrying_out`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from billfold.kernel.principal import Principal
from billfold.platform.messaging import outbox
from billfold.wallets.contracts import Order
from billfold.wallets.store import requests as store
from tests.integration.requests.support import Office, opened

#: Whose call ends the process, by the step: before it is made, or after it has returned.
_STEPS: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "1 before it is stored": ("after", lambda _: (store, "insert")),
    "1 before COMMIT": ("after", lambda _: (outbox, "append_all")),
    "1 before it is answered": ("after", lambda office: (office.wallets.requests, "_insert")),
    "2 before COMMIT": ("after", lambda _: (store, "take_named")),
    "2 after COMMIT": ("before", lambda office: (office.identity.standing, "of")),
    "3 before the ledger": ("before", lambda office: (office.ledger, "post")),
    "3 after the ledger": ("after", lambda office: (office.ledger, "post")),
    "4 before it is written down": ("before", lambda _: (store, "intend")),
    "4 after it was written down": ("before", lambda office: (office.ledger, "void")),
    "5 after the key was closed": ("after", lambda office: (office.ledger, "void")),
    "6 before COMMIT": ("after", lambda _: (outbox, "append_all")),
    "6 after COMMIT": ("after", lambda office: (office.endings, "end")),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives that")


def _rig(office: Office, step: str) -> None:
    when, where = _STEPS[step]
    owner, name = where(office)
    call = getattr(owner, name)

    async def rigged(*given: Any, **named: Any) -> Any:
        if when == "before":
            _die()
        await call(*given, **named)
        _die()

    setattr(owner, name, rigged)


async def _act(dsn: str, act: str, step: str, by: Principal, what: str) -> None:
    async with opened(dsn) as office:
        _rig(office, step)
        if act == "accept":
            order = msgspec.json.decode(what, type=Order)
            await office.wallets.requests.accept(principal=by, order=order, key="k")
        elif act == "cancel":
            await office.wallets.requests.cancel(principal=by, request_id=UUID(what))
        else:
            await office.wallets.carrying_out.named(request_ids=[UUID(what)])


if __name__ == "__main__":
    _, dsn, act, step, by, what = sys.argv
    asyncio.run(_act(dsn, act, step, msgspec.json.decode(by, type=Principal), what))
