"""A process with clients of its own on a ledger. Every answer is a line on the standard output."""

import asyncio
import random
import sys
from uuid import UUID

import msgspec

from billfold.kernel.errors import BillfoldError
from billfold.ledger.contracts import HoldChange, NewHold, Posting, Transfer
from tests.integration.ledger.support import Bank, key, new


class Task(msgspec.Struct):
    """What the process is to do. Requests `shared-0` to `shared-n` are the same in every process."""

    dsn: str
    seed: int
    accounts: list[UUID]
    clients: int
    requests: int
    shared: int


class Line(msgspec.Struct):
    """The answer to a request: the transfers that were posted, the hold that was placed, or why not."""

    text: str
    replayed: bool
    transfers: list[UUID]
    hold: UUID | None = None
    refused: str | None = None
    #: What the process found when it read its own writes.
    unread: str | None = None


Answer = Posting | HoldChange | BillfoldError


async def request(bank: Bank, chance: random.Random, accounts: list[UUID], text: str) -> Answer:
    """The request that `chance` brings."""
    debit, credit, third = chance.sample(accounts, 3)
    amount = chance.randrange(1, 60)
    kind = chance.randrange(10)
    try:
        if kind == 0:
            hold = NewHold(account=debit, amount=amount, asset="USD")
            return await bank.ledger.place_hold(key=key(text), hold=hold)
        if kind < 3:
            return await bank.post(new(debit, credit, amount), new(credit, third, amount // 2 + 1), text=text)
        return await bank.post(new(debit, credit, amount), text=text)
    except BillfoldError as error:
        return error


async def answered(bank: Bank, seed: str, accounts: list[UUID], text: str) -> Answer:
    """The answer, however often it must be asked for."""
    while True:
        answer = await request(bank, random.Random(seed), accounts, text)
        if not (isinstance(answer, BillfoldError) and answer.retryable):
            return answer
        await asyncio.sleep(0.01)


def line(text: str, answer: Answer) -> Line:
    if isinstance(answer, BillfoldError):
        return Line(text, answer.replayed, [], refused=answer.code)
    if isinstance(answer, HoldChange):
        return Line(text, answer.replayed, [], hold=answer.hold.id)
    posted = [result.id for result in answer.results if isinstance(result, Transfer)]
    refused = [result.code for result in answer.results if not isinstance(result, Transfer)]
    return Line(text, answer.replayed, posted, refused=",".join(refused) or None)


async def unread(bank: Bank, answer: Answer) -> str | None:
    """What is missing of what was just answered (I8)."""
    if isinstance(answer, HoldChange):
        return None if await bank.ledger.hold(hold_id=answer.hold.id) else "hold"
    for posted in answer.results if isinstance(answer, Posting) else []:
        if not isinstance(posted, Transfer):
            continue
        if await bank.ledger.transfer(transfer_id=posted.id) != posted:
            return f"transfer {posted.id}"
        debit, credit = await bank.ledger.accounts(ids=[posted.debit_account, posted.credit_account])
        if debit.version < posted.debit_version or credit.version < posted.credit_version:
            return f"accounts of {posted.id}"
    return None


async def client(bank: Bank, task: Task, number: int) -> list[Line]:
    chance = random.Random(f"{task.seed} {number}")
    lines = []
    for turn in range(task.requests):
        shared = chance.random() < 0.3
        text = f"shared-{chance.randrange(task.shared)}" if shared else f"own-{task.seed}-{number}-{turn}"
        answer = await answered(bank, text, task.accounts, text)
        told = line(text, answer)
        if turn % 5 == 0:
            told.unread = await unread(bank, answer)
        lines.append(told)
    return lines


async def main(task: Task) -> None:
    async with Bank.opened(task.dsn, size=6) as bank:
        print("ready", flush=True)  # noqa: T201 - the lines are what this program is for
        await asyncio.to_thread(sys.stdin.readline)
        for lines in await asyncio.gather(*[client(bank, task, number) for number in range(task.clients)]):
            for told in lines:
                print(msgspec.json.encode(told).decode())  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Task)))
