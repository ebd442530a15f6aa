"""What has arrived for nobody known is sent back once, or given to a wallet, and never both."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from billfold.chains.bitcoin import showing
from billfold.custody import Custody, Served, Showing, errors
from billfold.custody.contracts import Deposit, Terms
from billfold.custody.contracts.withdrawals import Withdrawal, WithdrawalTerms
from billfold.identity.errors import StepUpRequired
from billfold.kernel import ids, money
from billfold.kernel.deferred import Deferred
from billfold.kernel.idempotency import IdempotencyKeyReused
from billfold.kernel.principal import MissingScope, Principal
from billfold.wallets import Wallets, contracts
from tests import facades
from tests.integration.approvals.people import give_roles
from tests.integration.approvals.people import person as treasurer
from tests.integration.identity.people import House
from tests.integration.wallets.support import SCOPES, wallet_of
from tests.integration.withdrawals.simulated import TOKEN
from tests.integration.withdrawals.support import HOT, TOKEN_ASSET, Office

#: A payment costs 40 at most on the tests' chains and 30 in the end; a quarter more is set aside.
SET_ASIDE, FEE = 50, 30

stellar = pytest.mark.parametrize("chain_name", ["stellar"], indirect=True)


class Desk:
    """Where operators look after what is nobody's."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.people = House(office.database)
        wallets: Wallets
        served = Served(
            chain=cast("Any", office.chain),
            terms=Terms(credit_after=1, release_after=1, reorg_limit=6),
            showing=cast("Showing", SimpleNamespace(SHARED=True, uri=showing.uri)),
            withdrawing=WithdrawalTerms(confirmations=2, house_fee_max="0.000000000000001"),
        )
        custody = Custody(
            database=office.database,
            ledger=office.ledger,
            wallet_accounts=lambda connection, pairs: wallets.holders.open_accounts(connection, pairs),  # noqa: PLW0108
            freeze_wallet=cast("Any", None),
            served=[served],
            signer=cast("Any", office.signer),
            clock=office.clock,
        )
        office.withdrawals = custody.withdrawals
        self.custody = custody
        identity = facades.identity(office.database)
        self.approvals = identity.approvals
        self.wallets = wallets = Wallets(
            database=office.database,
            ledger=office.ledger,
            identity=identity,
            approvals=identity.approvals,
            custody=custody,
            clock=self.people.clock,
            step_up=self.people.step_up,
        )
        identity.approvals.carried_out_by(wallets.executors)
        self.operator = Principal(credential_id=ids.new(), owner_id=ids.new(), scopes=SCOPES | {contracts.OPERATOR})

    async def lost(self, amount: int, *, asset: str | None = None, state: str = "releasable") -> UUID:
        """A deposit of nobody known, which the ledger has in suspense."""
        asset = asset or self.office.chain.coin
        token = TOKEN if asset == TOKEN_ASSET else ""
        deposit = ids.new()
        suspense = await self.office.house.account(kind="suspense", asset=asset)
        await self.office._credit(suspense, amount, asset)
        self.office.chain.fund(HOT, amount, token=token)
        async with self.office.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO custody.deposits (id, chain, chain_tx, index, address, memo, token, asset, amount, kind, "
                "state, account_id, detected_at) "
                "VALUES ($1, $2, $3, '0', $4, '', $5, $6, $7, 'unmatched', $8, $9, now())",
                *(deposit, self.office.chain.name, str(deposit), HOT, token, asset, amount, state, suspense),
            )
        return deposit

    async def refund(self, deposit: UUID, *, to: str = "sim-a", key: str = "k", **told: Any) -> tuple[Deposit, bool]:
        asked: dict[str, Any] = {"principal": self.operator, "reason": "ticket 1", "memo": None} | told
        return await self.wallets.on_chains.refund(deposit_id=deposit, to=to, key=key, **asked)

    async def assign(self, deposit: UUID, wallet: str) -> Deposit:
        return await self.wallets.on_chains.assign(
            principal=self.operator, deposit_id=deposit, wallet_id=UUID(wallet), reason="ticket 2"
        )

    async def ended(self, *deposits: UUID) -> list[Withdrawal]:
        async with self.office.database.connection() as connection:
            rows = await connection.fetch(
                "SELECT withdrawal_id FROM custody.refunds WHERE deposit_id = ANY($1) ORDER BY asked_at", deposits
            )
        return await self.office.finish(*(row[0] for row in rows))

    async def held(self, kind: Any, asset: str | None = None) -> int:
        account = await self.office.house.account(kind=kind, asset=asset or self.office.chain.coin)
        return (await self.office.posted(account))[0]

    async def inbox(self) -> list[UUID]:
        return [one.id for one in (await self.wallets.on_chains.unmatched(principal=self.operator)).items]


@pytest.fixture
def desk(office: Office) -> Desk:
    return Desk(office)


@stellar
async def test_it_is_sent_once_to_the_address_that_was_given_less_the_network_fee(desk: Desk) -> None:
    deposit = await desk.lost(1_000)
    asked, replayed = await desk.refund(deposit)
    again, repeated = await desk.refund(deposit)
    assert (replayed, repeated, again) == (False, True, asked)
    assert asked.refund is not None
    assert (asked.refund.to, asked.refund.status, await desk.inbox()) == ("sim-a", "held", [])
    for other in (desk.refund(deposit, key="other"), desk.refund(deposit, to="sim-b", key="third")):
        with pytest.raises(errors.DepositNotUnmatched):
            await other
    with pytest.raises(IdempotencyKeyReused):
        await desk.refund(deposit, to="sim-b")
    (ended,) = await desk.ended(deposit)
    assert (ended.status, ended.amount, ended.fee_paid) == ("settled", 1_000 - SET_ASIDE, FEE)
    assert (await desk.held("suspense"), await desk.held("fees")) == (0, SET_ASIDE - FEE)
    await desk.office.check_conserved(ended)
    (told,) = await desk.office.told("deposit.refunded.v1")
    (requested,) = await desk.office.told("deposit.refund_requested.v1")
    assert told["refund"]["chain_tx"] == ended.chain_tx
    assert requested["refund"]["asked_by"] == str(desk.operator.owner_id)
    assert await desk.office.told("withdrawal.settled.v1") == []


@stellar
async def test_of_all_who_want_to_send_it_back_or_give_it_away_at_once_one_does(desk: Desk) -> None:
    wallet = await wallet_of(desk.wallets, desk.operator)
    deposits = [await desk.lost(1_000 + number) for number in range(6)]
    tries = [
        one
        for number, deposit in enumerate(deposits)
        for one in (
            desk.refund(deposit, to=f"sim-{number}", key=f"a{number}"),
            desk.assign(deposit, wallet),
            desk.refund(deposit, to=f"sim-other-{number}", key=f"b{number}"),
        )
    ]
    found = await asyncio.gather(*tries, return_exceptions=True)
    refused = [one for one in found if isinstance(one, BaseException)]
    assert {type(one) for one in refused} == {errors.DepositNotUnmatched}
    assert len(refused) == 2 * len(deposits)
    ended = await desk.ended(*deposits)
    sent = sum(one.amount + one.network_fee for one in ended)
    balances = await desk.wallets.balances.now(principal=desk.operator, wallet_id=UUID(wallet))
    given = sum(money.parse(one.posted, 7) for one in balances)
    assert (await desk.held("suspense"), sent + given) == (0, sum(range(1_000, 1_006)))
    await desk.office.check_conserved(*ended)


@stellar
async def test_what_could_not_be_sent_is_nobodys_again_and_the_house_has_paid_for_the_try(desk: Desk) -> None:
    deposit = await desk.lost(1_000)
    await desk.refund(deposit, to="sim-failing")
    (ended,) = await desk.ended(deposit)
    assert ended.status == "failed"
    assert (await desk.held("suspense"), await desk.held("fees"), await desk.inbox()) == (1_000, -FEE, [deposit])
    await desk.office.check_conserved(ended)
    assert len(await desk.office.told("deposit.refund_failed.v1")) == 1
    wallet = await wallet_of(desk.wallets, desk.operator)
    assert (await desk.assign(deposit, wallet)).wallet_id == UUID(wallet)
    with pytest.raises(errors.DepositNotUnmatched):
        await desk.refund(deposit, key="later")


@stellar
async def test_nothing_is_sent_that_may_not_leave_or_would_not_arrive(desk: Desk) -> None:
    early, small, good = await desk.lost(1_000, state="credited"), await desk.lost(SET_ASIDE), await desk.lost(1_000)
    for deposit, to, refusal in (
        (early, "sim-a", errors.DepositNotReleasable),
        (small, "sim-a", errors.AmountBelowMinimum),
        (good, HOT, errors.AddressIsOurs),
        (good, "sim-closed", errors.DestinationRefused),
        (ids.new(), "sim-a", errors.DepositUnknown),
    ):
        with pytest.raises(refusal):
            await desk.refund(deposit, to=to)
    assert len(await desk.inbox()) == 3


@pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
async def test_a_refund_that_no_block_takes_offers_more_once_and_the_house_pays_the_difference(desk: Desk) -> None:
    await desk.office.endow(2_000)
    deposit = await desk.lost(1_000)

    async def bump() -> Deposit:
        return await desk.wallets.on_chains.bump_refund(principal=desk.operator, deposit_id=deposit, key="more")

    with pytest.raises(errors.DepositNotRefunded):
        await bump()
    asked, _ = await desk.refund(deposit)
    await desk.office.work()
    assert (await bump()).refund == (await bump()).refund
    (ended,) = await desk.ended(deposit)
    assert asked.refund is not None
    assert (ended.status, ended.amount, ended.fee_paid) == ("settled", 1_000 - SET_ASIDE, SET_ASIDE)
    # Who replaces the tests' usual payment offers as much as for the fastest, and the sender gets no less for it.
    assert (await desk.held("suspense"), await desk.held("fees")) == (0, 2_000 + SET_ASIDE - 2 * FEE)
    assert desk.office.chain.received("sim-a") == [1_000 - SET_ASIDE]
    await desk.office.check_conserved(ended)


@stellar
async def test_while_withdrawals_of_the_asset_are_stopped_no_refund_is_taken(desk: Desk) -> None:
    deposit = await desk.lost(1_000)
    await desk.office.stop()
    with pytest.raises(errors.WithdrawalsStopped):
        await desk.refund(deposit)
    await desk.office.stop(stopped=False)
    await desk.refund(deposit)
    (ended,) = await desk.ended(deposit)
    assert ended.status == "settled"


@pytest.mark.parametrize("chain_name", ["ethereum"], indirect=True)
async def test_a_token_is_sent_back_whole_and_the_house_pays_for_it(desk: Desk) -> None:
    await desk.office.endow(1_000)
    deposit = await desk.lost(700, asset=TOKEN_ASSET)
    await desk.refund(deposit)
    (ended,) = await desk.ended(deposit)
    assert (ended.status, ended.amount) == ("settled", 700)
    assert (await desk.held("suspense", TOKEN_ASSET), await desk.held("fees")) == (0, 1_000 - FEE)
    await desk.office.check_conserved(ended)


@stellar
async def test_a_person_shows_a_factor_and_another_one_approves(desk: Desk) -> None:
    deposit = await desk.lost(1_000)
    person = await desk.people.person()
    maker = msgspec.structs.replace(person, scopes=desk.operator.scopes | person.scopes)
    app = await desk.people.app(maker)
    with pytest.raises(StepUpRequired) as required:
        await desk.refund(deposit, principal=maker)
    shown = required.value.extensions["step_up"]
    assert shown["content"]["to"] == "sim-a"
    await desk.people.approve(maker, UUID(shown["id"]), app)
    await give_roles(desk.office.database, maker, "treasurer")
    with pytest.raises(Deferred) as deferred:
        await desk.refund(deposit, principal=maker, step_up=UUID(shown["id"]))
    assert await desk.inbox() == [deposit]
    approval: Any = deferred.value.waits_for
    checker = await treasurer(desk.office.database, "treasurer")
    decided = await desk.approvals.approve(by=checker, approval_id=UUID(approval.id))
    assert (decided.status, await desk.inbox()) == ("executed", [])
    (ended,) = await desk.ended(deposit)
    assert ended.status == "settled"
    await desk.office.check_conserved(ended)


@stellar
async def test_nobody_but_an_operator_who_may_withdraw_sends_anything_back(desk: Desk) -> None:
    deposit = await desk.lost(1_000)
    for lacking in (contracts.OPERATOR, contracts.ORDER_SCOPES["withdrawal"]):
        other = msgspec.structs.replace(desk.operator, scopes=desk.operator.scopes - {lacking})
        with pytest.raises(MissingScope):
            await desk.refund(deposit, principal=other)
