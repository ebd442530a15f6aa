"""What a person imports of keys that are elsewhere, or discards, takes a factor of theirs and another person."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from billfold.app.migrate import SETS
from billfold.chains.errors import AddressInvalid, PublicKeyInvalid
from billfold.chains.nodes import Nodes
from billfold.custody import Custody, Served, Showing, errors
from billfold.custody.contracts import Terms, WithdrawalTerms
from billfold.custody.service.consenting import Consenting
from billfold.identity import errors as identity_errors
from billfold.identity.contracts import Approval, scopes_of
from billfold.kernel import clock, ids, origin
from billfold.kernel.deferred import Deferred
from billfold.kernel.origin import Origin
from billfold.kernel.principal import MissingScope, Principal
from billfold.platform.postgres.database import Database
from tests import facades, servers
from tests.integration.approvals.people import give_roles, person
from tests.integration.identity.people import House
from tests.integration.withdrawals.outsiders import OUTSIDERS
from tests.integration.withdrawals.support import Office as ChainOffice
from tests.integration.withdrawals.support import opened
from tests.integration.withdrawals.test_unsigned import asked

CHAINS = ("bitcoin", "solana")
Step = Callable[..., Awaitable[object]]


class Office:
    """Custody over chains whose keys are elsewhere and whose nodes nobody reaches."""

    def __init__(self, database: Database) -> None:
        self.database, self.house, self.identity = database, House(database), facades.identity(database)
        self.outsiders = {name: OUTSIDERS[name]() for name in CHAINS}
        self.custody = Custody(
            database=database,
            ledger=cast("Any", None),
            wallet_accounts=cast("Any", None),
            freeze_wallet=cast("Any", None),
            served=[_served(name) for name in CHAINS],
            approvals=self.identity.approvals,
            step_up=self.house.step_up,
        )
        self.consenting = self.custody.consenting
        self.identity.approvals.carried_out_by(self.consenting.executors)

    async def close(self) -> None:
        for chain in self.custody.withdrawals.chains.values():
            await chain.close()

    async def treasurer(self) -> Principal:
        somebody = await self.house.person()
        await give_roles(self.database, somebody, "treasurer")
        return msgspec.structs.replace(somebody, scopes=scopes_of(frozenset({"treasurer"})))

    async def asked(self, by: Principal, step: Step) -> Approval:
        """What waits, after a factor was shown."""
        app = await self.house.app(by)
        with pytest.raises(identity_errors.StepUpRequired) as required:
            await step(by=by, proof=None)
        proof = UUID(required.value.extensions["step_up"]["id"])
        await self.house.approve(by, proof, app)
        with pytest.raises(Deferred) as deferred:
            await step(by=by, proof=proof)
        assert isinstance(deferred.value.waits_for, Approval)
        return deferred.value.waits_for

    async def approved(self, step: Step) -> Approval:
        """By another person, whom it takes."""
        maker, checker = await self.treasurer(), await self.treasurer()
        waits = await self.asked(maker, step)
        approvals, approval_id = self.identity.approvals, UUID(waits.id)
        with pytest.raises(identity_errors.OwnApproval):
            await approvals.approve(by=maker, approval_id=approval_id)
        return await approvals.approve(by=checker, approval_id=approval_id)

    async def facts(self, kind: str) -> int:
        async with self.database.connection() as connection:
            rows = await connection.fetch("SELECT payload FROM messaging.outbox WHERE kind = 'audit'")
        return sum(kind.encode() in row["payload"] for row in rows)


def consented(chain_office: ChainOffice) -> Office:
    """An office of people over what another one has built."""
    office = Office(chain_office.database)
    office.consenting = Consenting(
        elsewhere=office.custody.elsewhere,
        outside=chain_office.withdrawals.outside,
        approvals=office.identity.approvals,
        step_up=office.house.step_up,
    )
    office.identity.approvals.carried_out_by(office.consenting.executors)
    return office


def _served(name: str) -> Served:
    return Served(
        chain=import_module(f"billfold.chains.{name}").open(
            Nodes(network="sandbox", urls=["http://127.0.0.1:9"], timeout_s=1)
        ),
        terms=Terms(credit_after=1, release_after=1, reorg_limit=10),
        showing=cast("Showing", import_module(f"billfold.chains.{name}.showing")),
        withdrawing=WithdrawalTerms(confirmations=1, house_fee_max="0.01"),
        outside=cast("Any", partial(import_module, f"billfold.chains.{name}.outside")),
    )


@pytest.fixture
async def office(postgres_server: servers.PostgresServer) -> AsyncIterator[Office]:
    database = await Database.connect(postgres_server.create_database(SETS).app_dsn, name="test")
    origin.begin(Origin(channel="api", address="127.0.0.1"))
    office = Office(database)
    try:
        yield office
    finally:
        origin.begin(None)
        await office.close()
        await database.close()


@pytest.fixture
async def chain_office(postgres_server: servers.PostgresServer, tmp_path: Path) -> AsyncIterator[ChainOffice]:
    origin.begin(Origin(channel="api", address="127.0.0.1"))
    try:
        async with opened(postgres_server.create_database(SETS).app_dsn, "bitcoin", tmp_path / "chain") as office:
            await office.furnish()
            yield office
    finally:
        origin.begin(None)


async def test_a_key_and_addresses_are_imported_when_another_person_has_approved(office: Office) -> None:
    key = str(office.outsiders["bitcoin"].public_key)
    step = partial(office.consenting.import_public_key, chain="bitcoin", public_key=key, fingerprint="0123abcd")
    assert (await office.approved(step)).status == "executed"
    known = await office.custody.elsewhere.keys(chain="bitcoin")
    assert (known.fingerprint, bool(known.public_key)) == ("0123abcd", True)

    hot = str(office.outsiders["solana"].hot)
    listed = partial(office.consenting.import_addresses, chain="solana", purpose="hot", addresses=[hot])
    assert (await office.approved(listed)).status == "executed"
    assert (await office.custody.elsewhere.keys(chain="solana")).hot == hot
    kinds = ("public_key_imported", "addresses_imported")
    assert [await office.facts(f"custody.{kind}.v1") for kind in kinds] == [1, 1]


async def test_what_was_built_is_discarded_when_another_person_has_approved(chain_office: ChainOffice) -> None:
    _, tx = await asked(chain_office)
    office = consented(chain_office)
    done = await office.approved(partial(office.consenting.discard, tx_id=tx.id))
    content = {"chain": "bitcoin", "transaction": str(tx.id), "exported_at": ""}
    assert (done.status, done.content) == ("executed", content)
    assert await office.facts("custody.transaction_discarded.v1") == 1
    assert await chain_office.withdrawals.outside.waiting(chain="bitcoin") == []
    await office.close()


async def test_what_was_exported_since_somebody_asked_is_not_discarded_by_that_word(chain_office: ChainOffice) -> None:
    _, tx = await asked(chain_office)
    office = consented(chain_office)
    step = partial(office.consenting.discard, tx_id=tx.id)
    maker, checker = await office.treasurer(), await office.treasurer()
    waits = await office.asked(maker, step)
    exported = await chain_office.withdrawals.outside.export(tx_id=tx.id)
    # Nodes that have forgotten it are what an operator's word stands in for.
    chain_office.chain.has_forgotten = True
    done = await office.identity.approvals.approve(by=checker, approval_id=UUID(waits.id))
    assert (done.status, (done.reason or "")[:13]) == ("failed", "unsigned_gone")
    assert await office.facts("custody.transaction_discarded.v1") == 0
    assert await chain_office.withdrawals.outside.waiting(chain="bitcoin") == [exported.transaction]

    again = await office.approved(step)
    assert exported.transaction.exported_at is not None
    assert again.status == "executed"
    assert again.content["exported_at"] == clock.format(exported.transaction.exported_at)
    assert await office.facts("custody.transaction_discarded.v1") == 1
    await office.close()


async def test_what_another_one_was_sooner_with_fails_and_changes_nothing(office: Office) -> None:
    first, second = office.outsiders["solana"].deposits[:2]
    step = partial(office.consenting.import_addresses, chain="solana", purpose="hot", addresses=[first])
    maker, checker = await office.treasurer(), await office.treasurer()
    waits = await office.asked(maker, step)
    await office.custody.elsewhere.import_addresses(chain="solana", purpose="hot", addresses=[second])
    done = await office.identity.approvals.approve(by=checker, approval_id=UUID(waits.id))
    assert (done.status, (done.reason or "")[:13]) == ("failed", "keys_imported")
    assert (await office.custody.elsewhere.keys(chain="solana")).hot == second


async def test_a_program_asks_nobody_and_nonsense_is_refused_before_anybody_is_asked(office: Office) -> None:
    treasurer = await office.treasurer()
    program = msgspec.structs.replace(treasurer, user_id=None, is_session=False)
    consenting = office.consenting
    with pytest.raises(PublicKeyInvalid):
        await consenting.import_public_key(
            by=treasurer, chain="bitcoin", public_key="zpub", fingerprint=None, proof=None
        )
    for addresses in (["x"], []):
        with pytest.raises(AddressInvalid):
            await consenting.import_addresses(
                by=treasurer, chain="solana", purpose="hot", addresses=addresses, proof=None
            )
    for by in (treasurer, program):
        with pytest.raises(errors.UnsignedUnknown):
            await consenting.discard(by=by, tx_id=ids.new(), proof=None)
    hot = [str(office.outsiders["solana"].hot)]
    with pytest.raises(identity_errors.SecondFactorMissing):
        await consenting.import_addresses(by=treasurer, chain="solana", purpose="hot", addresses=hot, proof=None)
    with pytest.raises(MissingScope):
        compliance = await person(office.database, "compliance")
        await consenting.import_addresses(by=compliance, chain="solana", purpose="hot", addresses=hot, proof=None)
    given = await consenting.import_addresses(by=program, chain="solana", purpose="hot", addresses=hot, proof=None)
    assert given.hot == hot[0]
