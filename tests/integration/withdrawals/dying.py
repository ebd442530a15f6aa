"""Processes that send money out and are killed at a step.

A line of JSON says which, and a line with the process's exit code answers. Each is a fork of this one, which has
imported everything and done nothing, so that a hundred of them take no longer to start than one. It prints the port
that it listens on; those who connect are answered at the same time.

The steps are those of `custody.service.withdrawals`. Each is cut twice: before its database transaction is committed,
and after. What a step does outside of the database (the ledger, the signer, the node) is cut before and after, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import traceback
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from billfold.custody.service.withdrawals import returned
from billfold.custody.store import allocations, queue, refunds, together, unsigned
from billfold.custody.store import withdrawals as store
from billfold.platform.messaging import outbox
from tests.integration.withdrawals.support import Office, opened
from tests.integration.withdrawals.test_unsigned import moved_out, signed_and_handed_in, waiting

#: Whose call ends the process, by the step: before it is made, or after it has returned; and which of several calls.
STEPS: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "1 before COMMIT": ("after", lambda _: (store, "insert")),
    "1 stored": ("before", lambda office: (office.ledger, "place_hold")),
    "2 the ledger holds": ("after", lambda office: (office.ledger, "place_hold")),
    "2 before COMMIT": ("before", lambda _: (store, "set_held")),
    "2 held": ("after", lambda office: (office.withdrawals._asking, "hold")),
    "3 before COMMIT": ("after", lambda _: (together, "set_allocated")),
    "3 allocated": ("after", lambda office: (office.withdrawals._allocating, "round")),
    "4 before COMMIT": ("after", lambda office: (office.chain, "build")),
    "4 built": ("before", lambda office: (office.signer, "sign")),
    "5 the signer has signed": ("after", lambda office: (office.signer, "sign")),
    "5 before COMMIT": ("after", lambda _: (together, "set_signed")),
    "5 signed": ("before", lambda _: (together, "begin_attempts")),
    "6 before COMMIT": ("after", lambda _: (together, "begin_attempts")),
    "6 before it is handed over": ("before", lambda office: (office.chain, "broadcast")),
    "6 handed over": ("after", lambda office: (office.chain, "broadcast")),
    "7 before COMMIT": ("after", lambda _: (together, "end_attempts")),
    "7 answered": ("after", lambda office: (office.withdrawals._sending._together, "_handed_over")),
    "8 before COMMIT": ("after", lambda _: (together, "set_mined")),
    "8 mined": ("before", lambda office: (office.withdrawals._sending._together, "_paid")),
    "9 before COMMIT": ("after", lambda _: (together, "set_used")),
    "9 decided": ("after", lambda office: (office.withdrawals._sending._together, "_paid")),
    "10 before it is posted": ("before", lambda office: (office.ledger, "settle_hold")),
    "10 posted": ("after", lambda office: (office.ledger, "settle_hold")),
    "11 before COMMIT": ("after", lambda _: (together, "set_ended")),
    "11 ended": ("after", lambda office: (office.withdrawals._ending, "settle_all")),
}
#: Those of one that is taken by itself, because something about it is not as usual.
ALONE: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "alone 4 before COMMIT": ("after", lambda office: (office.chain, "build")),
    "alone 5 the signer has signed": ("after", lambda office: (office.signer, "sign")),
    "alone 5 before COMMIT": ("after", lambda _: (queue, "note_own")),
    "alone 5 signed": ("before", lambda _: (queue, "begin_attempt")),
    "alone 6 before COMMIT": ("after", lambda _: (queue, "begin_attempt")),
    "alone 6 handed over": ("after", lambda office: (office.chain, "broadcast")),
    "alone 7 before COMMIT": ("after", lambda _: (queue, "end_attempt")),
    "alone 7 answered": ("after", lambda office: (office.withdrawals._sending, "_handed_over")),
    "alone 8 before COMMIT": ("after", lambda _: (queue, "unmine_others")),
    "alone 8 mined": ("before", lambda office: (office.withdrawals._ending, "finish")),
    "alone 9 before COMMIT": ("after", lambda _: (queue, "end_others")),
    "alone 9 decided": ("after", lambda office: (office.withdrawals._ending, "finish")),
    "alone 10 posted": ("after", lambda office: (office.ledger, "settle_hold")),
    "alone 11 before COMMIT": ("after", lambda _: (store, "change")),
    "alone 11 ended": ("after", lambda office: (office.withdrawals._ending, "settle")),
}
#: Those of one that never happens, which is known before the start: something else has used up what it uses up.
BURYING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "8 dead before COMMIT": ("after", lambda _: (queue, "change_tx")),
    "8 dead, not yet buried": ("before", lambda office: (office.withdrawals._ending, "bury")),
    "9 buried before COMMIT": ("after", lambda _: (allocations, "change")),
    "9 buried": ("after", lambda office: (office.withdrawals._ending, "bury")),
}
#: A transaction that is no withdrawal's ends by itself.
_BY_ITSELF = {
    f"sweep {step[6:]}": how for step, how in ALONE.items() if step[6:] in ("8 mined", "9 before COMMIT", "9 decided")
}
#: Of a token, whose network fee is the house's.
HOUSE: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "12 before it is posted": ("before", lambda office: (office.ledger, "post")),
    "12 posted": ("after", lambda office: (office.ledger, "post")),
    "12 ended": ("after", lambda office: (office.withdrawals._sending._closing, "close")),
}
#: A sweep has nobody behind it: its own step 3, then those of every transaction, and its fee is the house's.
SWEEPING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "sweep 3 before COMMIT": ("after", lambda _: (queue, "insert_tx")),
    "sweep 3 allocated": ("after", lambda office: (office.withdrawals._sweeping, "round")),
    **{f"sweep {step}": how for step, how in STEPS.items() if step[0] in "456789"},
    **_BY_ITSELF,
    **{f"sweep {step}": how for step, how in HOUSE.items()},
}
#: What brings a token's address the fee of its sweep.
GAS: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    f"gas {step.removeprefix('sweep ')}": how for step, how in SWEEPING.items() if step[6] in "359"
}
#: What brings a surplus to the warm address: its own step 3, and two postings. The others are those of a sweep.
TENDING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "warm 3 before COMMIT": ("after", lambda _: (queue, "insert_tx")),
    "warm 3 allocated": ("before", lambda office: (office.withdrawals._sending, "_advance")),
    "warm 9 decided": ("after", lambda office: (office.withdrawals._ending, "finish")),
    "warm 12 the fee is posted": ("after", lambda office: (office.ledger, "post")),
    "warm 12 before COMMIT": ("after", lambda _: (outbox, "append")),
    "warm 12 ended": ("after", lambda office: (office.withdrawals._sending._closing, "close")),
}


def _own(name: str, steps: str) -> dict[str, tuple[str, Callable[[Office], tuple[object, str]]]]:
    """Of something else of the house's own, steps of these numbers that it shares with a sweep."""
    found = {step.removeprefix("sweep "): how for step, how in SWEEPING.items()}
    return {f"{name} {step}": how for step, how in found.items() if step.split()[0] in steps.split()}


#: A sweep of a token whose fee the house pays in the same transaction.
SPONSORED = _own("sponsored", "3 5 6 9 12")
#: Many small coins are made one.
MERGING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "merge 3 before COMMIT": ("after", lambda _: (queue, "insert_tx")),
    "merge 3 allocated": ("after", lambda office: (office.withdrawals._merging, "round")),
    **_own("merge", "5 6 9 12"),
}
#: A child pays for the place of a withdrawal in a block. The withdrawal is sent before.
HURRYING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "child 3 before COMMIT": ("after", lambda _: (queue, "insert_tx")),
    "child 3 allocated": ("after", lambda office: (office.withdrawals._children, "hasten")),
    **_own("child", "4 5 6 9 12"),
}
#: A channel is opened. It is given what it has to hold, which is posted besides the fee.
OPENING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "open 3 before COMMIT": ("after", lambda _: (queue, "insert_tx")),
    "open 3 allocated": ("after", lambda office: (office.withdrawals._opening, "round")),
    **_own("open", "4 5 6 7 8 9"),
    "open 12 the fee is posted": ("after", lambda office: (office.ledger, "post")),
    "open 12 what it was given is posted": ("before", lambda _: (allocations, "change")),
    "open 12 before COMMIT": ("after", lambda _: (allocations, "change")),
    "open 12 ended": ("after", lambda office: (office.withdrawals._sending._closing, "close")),
}
#: A deposit of nobody known is sent back: a withdrawal from suspense, which always ends by itself.
REFUNDING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "refund 1 before COMMIT": ("after", lambda _: (refunds, "add")),
    "refund 1 stored": STEPS["1 stored"],
    "refund 2 the ledger holds": STEPS["2 the ledger holds"],
    "refund 2 before COMMIT": STEPS["2 before COMMIT"],
    "refund 2 held": STEPS["2 held"],
    "refund 3 before COMMIT": STEPS["3 before COMMIT"],
    "refund 3 allocated": STEPS["3 allocated"],
    "refund 5 signed": STEPS["5 signed"],
    "refund 6 handed over": STEPS["6 handed over"],
    "refund 9 before COMMIT": ALONE["alone 9 before COMMIT"],
    "refund 9 decided": ALONE["alone 9 decided"],
    "refund 10 posted": ALONE["alone 10 posted"],
    "refund 11 before COMMIT": ("after", lambda _: (returned, "ended")),
    "refund 11 ended": ALONE["alone 11 ended"],
}
#: What is signed elsewhere is handed out, and comes back; each transaction is then taken by itself.
HANDING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "elsewhere 4 before COMMIT": ("after", lambda office: (office.chain, "build")),
    "elsewhere 5 handed out before COMMIT": ("after", lambda _: (unsigned, "exported")),
    "elsewhere 5 handed out": ("after", lambda office: (office.withdrawals.outside, "export")),
    "elsewhere 5 handed in before COMMIT": ("after", lambda _: (queue, "change_tx")),
    "elsewhere 5 handed in": ("after", lambda office: (office.withdrawals.outside, "accept")),
    "elsewhere 6 handed over": STEPS["6 handed over"],
    "elsewhere 7 answered": ALONE["alone 7 answered"],
    "elsewhere 9 decided": ALONE["alone 9 decided"],
    "elsewhere 10 posted": STEPS["10 posted"],
}
#: A withdrawal is cancelled that has no transaction yet.
CANCELLING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "cancel at 2 before COMMIT": ("after", lambda _: (store, "change")),
    "cancel at 2 stored": ("before", lambda office: (office.ledger, "release_hold")),
    "cancel at 2 posted": ("after", lambda office: (office.ledger, "release_hold")),
    "cancel at 2 ended": ("after", lambda office: (office.withdrawals._replacing, "cancel")),
}
#: Those of a cancellation and of a fee that is raised, which replace what was sent.
REPLACING: Mapping[str, tuple[str, Callable[[Office], tuple[object, str]]]] = {
    "cancel before COMMIT": ("after", lambda _: (queue, "insert_tx")),
    "cancel stored": ("after", lambda office: (office.withdrawals._replacing, "cancel")),
    "bump stored": ("before", lambda office: (office.ledger, "place_hold")),
    "bump held": ("after", lambda office: (office.ledger, "place_hold")),
    "bump before COMMIT": ("after", lambda _: (queue, "insert_tx")),
    "bump replaced": ("after", lambda office: (office.withdrawals._replacing, "bump")),
}


#: What a process does that has been given a job.
Act = Callable[[list[Any]], Coroutine[Any, Any, None]]
#: Of calls that several steps make, that of the step.
_ONLY = {
    "8 dead before COMMIT": {"state": "dead"},
    "9 buried before COMMIT": {"state": "dead"},
    "alone 11 before COMMIT": {"state": "settled"},
    "elsewhere 5 handed in before COMMIT": {"state": "signed"},
    "open 12 what it was given is posted": {"state": "used"},
    "open 12 before COMMIT": {"state": "used"},
}
#: By the names of the steps.
_ALL = (
    {**STEPS, **ALONE, **BURYING, **HOUSE, **SWEEPING, **GAS, **TENDING, **REPLACING}
    | {**SPONSORED, **MERGING, **HURRYING, **OPENING, **REFUNDING, **HANDING, **CANCELLING}
)  # fmt: skip


def die() -> None:
    """At once, as by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody survives that")


def rig(office: Office, step: str) -> None:
    """Have the process end at a step."""
    when, where = _ALL[step]
    if step in ALONE:
        office.take_alone()
    owner, name = where(office)
    call = getattr(owner, name)

    only = _ONLY.get(step, {})

    async def rigged(*given: Any, **named: Any) -> Any:
        meant = only.items() <= named.items()
        if meant and when == "before":
            die()
        answer = await call(*given, **named)
        if meant:
            die()
        return answer

    setattr(owner, name, rigged)


async def _act(job: list[Any]) -> None:
    dsn, chain, path, step, what, ahead_s = job
    async with opened(dsn, chain, Path(path)) as office:
        office.clock.ahead = timedelta(seconds=ahead_s)
        if step in HANDING:
            moved_out(office)
        rig(office, step)
        act, subject = what.split()
        await _ask(office, act, subject)
        for _ in range(20):
            if act in ("open", "merge"):
                await getattr(office.withdrawals, act)(chain=chain)
            elif act == "tend":
                await office.tend(1)
            await office.work(ahead=timedelta(minutes=1))
            for tx in await waiting(office):
                await signed_and_handed_in(office, tx)
            office.chain.mine()
            await office.watch()


async def _ask(office: Office, act: str, subject: str) -> None:
    if act == "request":
        await office.request(UUID(subject), 1_000, "sim-a", key="k")
    elif act == "cancel":
        await office.withdrawals.cancel(withdrawal_id=UUID(subject))
    elif act == "bump":
        await office.bump(UUID(subject))
    elif act == "refund":
        await office.refund(UUID(subject))
    elif act == "hasten":
        await office.withdrawals.hasten(chain=office.chain.name, chain_tx=subject, speed="normal")


def _child(act: Act, job: list[Any]) -> None:
    try:
        asyncio.run(act(job))
    except BaseException:  # noqa: BLE001 - nothing else tells of it.
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _answer(act: Act, caller: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with caller.makefile("r") as lines:
        for line in lines:
            pid = os.fork()
            if pid == 0:
                _child(act, json.loads(line))
            caller.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def main(act: Act = _act) -> None:
    """Answer whoever connects, each by a process of its own, until it is ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.create_server(("127.0.0.1", 0)) as door:
        print(door.getsockname()[1], flush=True)  # noqa: T201 - the answer
        while True:
            caller, _ = door.accept()
            with caller:
                if os.fork() == 0:
                    door.close()
                    _answer(act, caller)
                    os._exit(0)


if __name__ == "__main__":
    main()
