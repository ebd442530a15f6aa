"""The real ledger on a real PostgreSQL, held against the model, through random requests of two processes.

BILLFOLD_SEED names another run, BILLFOLD_EXAMPLES a longer one.
"""

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from billfold.kernel import ids
from billfold.kernel.assets import Asset
from billfold.kernel.errors import BillfoldError
from billfold.kernel.idempotency import Key
from billfold.ledger.contracts import (
    AccountStatus,
    BalancePoint,
    Entry,
    EntryFilter,
    HoldChange,
    NewAccount,
    Posting,
    Transfer,
)
from tests import servers
from tests.integration.ledger import model
from tests.integration.ledger.requests import Answer, Command, Requests, post
from tests.integration.ledger.support import Bank, execute, key

SEED = int(os.environ.get("BILLFOLD_SEED", "20261121"))
EXAMPLES = int(os.environ.get("BILLFOLD_EXAMPLES", "40"))
STEPS = 50

_codes = itertools.count(1)


@dataclass(frozen=True)
class World:
    """Two processes on one database, and the loop they run on."""

    runner: asyncio.Runner
    banks: tuple[Bank, Bank]
    owner_dsn: str


class LedgerMachine(RuleBasedStateMachine):
    """Each rule does the same to the ledger and to the model, and compares what both say."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.requests = Requests()
        self.model = self.requests.model
        self.asked: list[tuple[Key, Command, Answer]] = []

    def run(self, work: Awaitable[Any]) -> Any:
        async def awaited() -> Any:
            return await work

        return self.world.runner.run(awaited())

    @initialize()
    def open(self) -> None:
        # Those of the example before would be counted in this one.
        self.run(self.world.banks[0].ledger.expire_holds(limit=1_000))
        for _ in range(2):
            code = f"T{next(_codes)}"
            self.requests.assets.append(code)
            self.run(self.world.banks[0].ledger.add_asset(asset=Asset(code=code, scale=2, kind="fiat", name=code)))
            outside = self.run(self.world.banks[1].ledger.external_account(asset=code))
            self.model.places[outside] = model.Place(code, None)
            self.requests.accounts.append(outside)
        for floor in (0, -50, 0):
            self._open(self.requests.assets[0], floor)

    def _open(self, asset: str, floor: int | None) -> None:
        account = ids.new()
        self.run(self.world.banks[0].ledger.open_accounts(accounts=[NewAccount(id=account, asset=asset, floor=floor)]))
        self.model.places[account] = model.Place(asset, floor)
        self.requests.accounts.append(account)
        outside = next(known for known, place in self.model.places.items() if place.asset == asset)
        deposit = model.Wanted(outside, account, 100, asset)
        self._ask([Command("deposit", post([deposit], atomic=True), lambda now: self.model.post(deposit, now))], 0)

    # Accounts

    @rule(other=st.booleans(), floor=st.sampled_from([0, 0, -50, None]))
    def open_account(self, *, other: bool, floor: int | None) -> None:
        self._open(self.requests.assets[other], floor)

    @rule(data=st.data(), status=st.sampled_from(["open", "open", "frozen", "closed"]), bank=st.integers(0, 1))
    def set_status(self, data: st.DataObject, status: AccountStatus, bank: int) -> None:
        account = data.draw(st.sampled_from(list(self.model.places)))
        asked = self.world.banks[bank].ledger.set_status(account_ids=[account], status=status)
        self._same(asked, lambda: self.model.set_status(account, status))

    @rule(data=st.data(), floor=st.none() | st.integers(-100, 100))
    def set_floor(self, data: st.DataObject, floor: int | None) -> None:
        account = data.draw(st.sampled_from(list(self.model.places)))
        asked = self.world.banks[0].ledger.set_floor(account_id=account, floor=floor)
        self._same(asked, lambda: self.model.set_floor(account, floor))

    def _same(self, asked: Awaitable[None], decide: Callable[[], None]) -> None:
        try:
            decide()
            expected = None
        except model.No as no:
            expected = str(no)
        try:
            self.run(asked)
            got = None
        except BillfoldError as error:
            got = type(error).__name__
        assert got == expected

    # Requests

    @rule(data=st.data(), count=st.integers(2, 8), bank=st.integers(0, 1))
    def ask(self, data: st.DataObject, count: int, bank: int) -> None:
        """Several at once: they share a batch, and are done in the order in which they came."""
        self._ask([self.requests.any(data) for _ in range(count)], bank)

    @rule(data=st.data(), bank=st.integers(0, 1))
    def ask_for_one(self, data: st.DataObject, bank: int) -> None:
        self._ask([self.requests.any(data)], bank)

    def _ask(self, commands: Sequence[Command], bank: int) -> None:
        keys = [key() for _ in commands]
        now = self.run(self.world.banks[bank].now())
        answers = self._answers(bank, commands, keys)
        for command, own, answer in zip(commands, keys, answers, strict=True):
            self._compare(command, answer, now)
            self.asked.append((own, command, answer))

    def _answers(self, bank: int, commands: Sequence[Command], keys: Sequence[Key]) -> list[Answer]:
        ledger = self.world.banks[bank].ledger

        async def all_at_once() -> list[Any]:
            asked = [command.ask(ledger, own) for command, own in zip(commands, keys, strict=True)]
            return await asyncio.gather(*asked, return_exceptions=True)

        answers: list[Answer] = self.world.runner.run(all_at_once())
        for answer in answers:
            if not isinstance(answer, Posting | HoldChange | BillfoldError):
                raise answer
        return answers

    def _compare(self, command: Command, answer: Answer, now: datetime) -> None:
        """What the model decides is what the ledger has answered; ids and times are taken from the answer."""
        try:
            expected = command.decide(now)
        except model.No as no:
            refused = answer.results if isinstance(answer, Posting) else [answer]
            named = [type(result).__name__ for result in refused]
            assert named == [str(no) if at == no.place else "GroupRefused" for at in range(len(refused))], command.name
            return
        assert not isinstance(answer, BillfoldError), (command.name, answer)
        assert not answer.replayed
        if isinstance(answer, Posting):
            moves = expected if isinstance(expected, list) else [expected]
            for moved, result in zip(moves, answer.results, strict=True):
                self._learn(moved, result)
        else:
            held, moved = expected if isinstance(expected, tuple) else (expected, None)
            self._learn_hold(held, answer)
            assert (moved is None) == (answer.transfer is None)
            if moved is not None:
                self._learn(moved, answer.transfer)

    def _learn(self, moved: object, result: object) -> None:
        if isinstance(moved, model.No):
            assert type(result).__name__ == str(moved)
            return
        assert isinstance(moved, model.Moved)
        assert isinstance(result, Transfer), result
        for account in (moved.wanted.debit, moved.wanted.credit):
            before = [move.recorded_at for move in self.model.places[account].moves if move.recorded_at != model.LATER]
            assert all(instant < result.recorded_at for instant in before)
        moved.id, moved.recorded_at = result.id, result.recorded_at
        assert _told(result) == _expected(moved)
        self.requests.transfers.append(result.id)

    def _learn_hold(self, held: object, answer: HoldChange) -> None:
        assert isinstance(held, model.Held)
        got = answer.hold
        if held.id is None:
            held.id = got.id
            self.requests.holds.append(got.id)
        assert (got.id, got.account, got.amount, got.reference) == (held.id, held.account, held.amount, held.reference)
        assert (got.settled, got.status, got.remaining) == (held.settled, held.status, held.remaining)

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), bank=st.integers(0, 1))
    def ask_again(self, data: st.DataObject, bank: int) -> None:
        own, command, first = self.asked[data.draw(st.integers(0, len(self.asked) - 1))]
        (again,) = self._answers(bank, [command], [own])
        if isinstance(first, BillfoldError):
            assert (type(again), str(again)) == (type(first), str(first))
        elif isinstance(first, HoldChange):
            assert isinstance(again, HoldChange)
            assert (again.hold, again.transfer) == (first.hold, first.transfer)
        else:
            assert isinstance(again, Posting)
            assert [str(result) for result in again.results] == [str(result) for result in first.results]
        assert again.replayed

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), bank=st.integers(0, 1))
    def ask_something_else_under_the_same_key(self, data: st.DataObject, bank: int) -> None:
        own, command, _ = self.asked[data.draw(st.integers(0, len(self.asked) - 1))]
        (answer,) = self._answers(bank, [command], [replace(own, fingerprint=own.fingerprint ^ 1)])
        assert type(answer).__name__ == "IdempotencyKeyReused"

    # Holds and time

    @rule(data=st.data())
    def let_the_time_of_a_hold_be_over(self, data: st.DataObject) -> None:
        held = self.model.hold(data.draw(st.sampled_from(self.requests.holds)))
        if held is not None and held.status == "active":
            past = datetime(2026, 1, 1, tzinfo=UTC)
            held.expires_at = past
            sql = f"UPDATE ledger.holds SET expires_at = '{past}' WHERE id = '{held.id}'"
            self.run(execute(self.world.owner_dsn, sql))

    @rule(bank=st.integers(0, 1))
    def expire_holds(self, bank: int) -> None:
        now = self.run(self.world.banks[0].now())
        assert self.run(self.world.banks[bank].ledger.expire_holds(limit=100)) == self.model.expire(now)

    # Comparing

    @invariant()
    def the_model_is_sound(self) -> None:
        self.model.check()

    @rule(data=st.data(), bank=st.integers(0, 1))
    def compare_balances_in_time(self, data: st.DataObject, bank: int) -> None:
        instants = sorted({at for at in self.model.instants() if at != model.LATER})
        if not instants:
            return
        known = st.sampled_from(list(self.model.places))
        points = data.draw(st.lists(st.tuples(known, st.sampled_from(instants)), min_size=1, max_size=10))
        ledger = self.world.banks[bank].ledger
        recorded = self.run(ledger.balances_recorded(points=points))
        effective = self.run(ledger.balances_effective(points=points))
        assert recorded == [BalancePoint(at=at, posted=self.model.recorded(account, at)) for account, at in points]
        assert effective == [BalancePoint(at=at, posted=self.model.effective(account, at)) for account, at in points]

    def teardown(self) -> None:
        if self.model.places:
            self.run(self._compare_everything())

    async def _compare_everything(self) -> None:
        bank = self.world.banks[0]
        known = list(self.model.places)
        for account in await bank.ledger.accounts(ids=known):
            place = self.model.places[account.id]
            assert (account.asset, account.floor, account.status) == (place.asset, place.floor, place.status)
            assert (account.posted, account.held) == (self.model.posted(account.id), self.model.held(account.id))
            assert account.version == len(place.moves)
        await self._compare_entries(bank, known)
        await bank.verified()
        points = [(account, at) for account in known for at in sorted({*self.model.instants()})]
        effective = await bank.ledger.balances_effective(points=points)
        assert [point.posted for point in effective] == [self.model.effective(*point) for point in points]
        recorded = await bank.ledger.balances_recorded(points=points)
        assert [point.posted for point in recorded] == [self.model.recorded(*point) for point in points]

    async def _compare_entries(self, bank: Bank, known: list[UUID]) -> None:
        expected = [(move.id, account, move.side(account)) for move, account in self.model.entries(known)]
        paged: list[Entry] = []
        after = None
        while page := await bank.ledger.entries(account_ids=known, filter=EntryFilter(), after=after, limit=7):
            paged += page
            after = (page[-1].recorded_at, page[-1].account)
        assert [(entry.transfer_id, entry.account, entry.amount) for entry in reversed(paged)] == expected
        streamed = [
            entry
            async for block in bank.ledger.stream_entries(account_ids=known, filter=EntryFilter())
            for entry in block
        ]
        assert streamed == paged[::-1]
        summary = await bank.ledger.summary(account_ids=known, filter=EntryFilter())
        assert (summary.count, summary.credited - summary.debited) == (len(expected), 0)


def _told(result: Transfer) -> tuple[object, ...]:
    return (
        *(result.debit_account, result.credit_account, result.amount, result.asset, result.kind, result.reference),
        *(result.debit_version, result.credit_version, result.debit_balance, result.credit_balance),
        result.effective_at,
    )


def _expected(moved: model.Moved) -> tuple[object, ...]:
    wanted = moved.wanted
    return (
        *(wanted.debit, wanted.credit, wanted.amount, wanted.asset, wanted.kind, wanted.reference),
        *(moved.debit_version, moved.credit_version, moved.debit_balance, moved.credit_balance),
        moved.effective_at,
    )


def test_the_ledger_does_what_the_model_says(own_database: servers.TestDatabase) -> None:
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    print(f"BILLFOLD_SEED={SEED} BILLFOLD_EXAMPLES={EXAMPLES}")  # noqa: T201 - pytest shows it with a failure
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        banks = [runner.run(stack.enter_async_context(Bank.opened(own_database.app_dsn, size=4))) for _ in range(2)]
        world = World(runner, (banks[0], banks[1]), own_database.owner_dsn)
        try:
            run_state_machine_as_test(hypothesis.seed(SEED)(partial(LedgerMachine, world)), settings=settings)  # type: ignore[arg-type]
            verified = runner.run(banks[0].verified())
            assert verified.transfers > 10 * EXAMPLES, "the examples are too timid"
        finally:
            runner.run(stack.aclose())
