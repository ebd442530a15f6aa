"""A seed is asked for by a treasurer with a factor of theirs, approved by another one, and fetched by who has asked."""

from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

import msgspec
import pytest

from billfold.app.migrate import SETS
from billfold.custody import Custody, errors
from billfold.identity import errors as identity_errors
from billfold.identity.contracts import STAFF_ROLES, Approval, scopes_of
from billfold.kernel import ids, origin
from billfold.kernel.deferred import Deferred
from billfold.kernel.origin import Origin
from billfold.kernel.principal import MissingScope, Principal, SessionNeeded
from billfold.platform.keys import recipients
from billfold.platform.postgres.database import Database
from billfold.signer import Signer, opened
from billfold.signer import errors as signer_errors
from tests import facades, servers, signers
from tests.integration.approvals.people import by_key, give_roles, person
from tests.integration.identity.people import House

PRIVATE = recipients.private_key()
RECIPIENT = recipients.public_key(PRIVATE).hex()


class Office:
    """Custody with a signer that has the tree of a chain."""

    def __init__(self, database: Database, signer: Signer) -> None:
        self.database, self.signer = database, signer
        self.house = House(database)
        self.identity = facades.identity(database)
        self.custody = Custody(
            database=database,
            ledger=cast("Any", None),
            wallet_accounts=cast("Any", None),
            freeze_wallet=cast("Any", None),
            signer=signer,
            approvals=self.identity.approvals,
            step_up=self.house.step_up,
        )
        self.identity.approvals.carried_out_by(self.custody.exporting.executors)
        self.tree_id = ids.new()

    async def furnish(self) -> None:
        await self.signer.create(tree_id=self.tree_id, chain="tiny", network="sandbox")
        async with self.database.transaction() as connection:
            await connection.execute(
                "INSERT INTO custody.trees (chain, network, tree_id, created_at) VALUES ('tiny', 'sandbox', $1, now())",
                self.tree_id,
            )

    async def treasurer(self) -> Principal:
        somebody = await self.house.person()
        await give_roles(self.database, somebody, "treasurer")
        return msgspec.structs.replace(somebody, scopes=scopes_of(frozenset({"treasurer"})))

    async def ask(self, by: Principal, *, proof: UUID | None = None, reason: str = "For the safe.") -> Approval:
        """What waits now."""
        with pytest.raises(Deferred) as deferred:
            await self.custody.exporting.ask(by=by, chain="tiny", recipient=RECIPIENT, reason=reason, proof=proof)
        assert isinstance(deferred.value.waits_for, Approval)
        return deferred.value.waits_for

    async def asked(self, by: Principal) -> Approval:
        """With a factor, as it has to be."""
        app = await self.house.app(by)
        with pytest.raises(identity_errors.StepUpRequired) as required:
            await self.custody.exporting.ask(
                by=by, chain="tiny", recipient=RECIPIENT, reason="For the safe.", proof=None
            )
        shown = required.value.extensions["step_up"]
        assert (shown["content"]["chain"], shown["content"]["recipient"]) == ("tiny", RECIPIENT)
        proof = UUID(shown["id"])
        await self.house.approve(by, proof, app)
        with pytest.raises(identity_errors.StepUpRequired):
            await self.custody.exporting.ask(by=by, chain="tiny", recipient="0" * 64, reason="x", proof=proof)
        return await self.ask(by, proof=proof)


@pytest.fixture
async def office(postgres_server: servers.PostgresServer) -> AsyncIterator[Office]:
    own = postgres_server.create_database(SETS)
    database = await Database.connect(own.app_dsn, name="test")
    async with signers.started(signers.create_database(postgres_server).dsn) as signer:
        office = Office(database, signer)
        await office.furnish()
        yield office
    await database.close()


async def test_it_takes_a_factor_and_another_person_and_only_who_has_asked_gets_the_package(office: Office) -> None:
    origin.begin(Origin(channel="api", address="127.0.0.1"))
    await office.signer.exports.allow("safe", bytes.fromhex(RECIPIENT))
    maker, checker = await office.treasurer(), await office.treasurer()
    asked = await office.asked(maker)
    export_id = UUID(asked.id)
    fetch = office.custody.exporting.fetch
    with pytest.raises(errors.KeyExportWaits):
        await fetch(by=maker, approval_id=export_id)
    approvals = office.identity.approvals
    with pytest.raises(identity_errors.OwnApproval):
        await approvals.approve(by=maker, approval_id=export_id)
    assert (await approvals.approve(by=checker, approval_id=export_id)).status == "executed"
    given = await fetch(by=maker, approval_id=export_id)
    assert given == await fetch(by=maker, approval_id=export_id)
    assert (
        given.package
        == (
            await office.signer.export(request_id=export_id, tree_id=office.tree_id, recipient=bytes.fromhex(RECIPIENT))
        ).decode()
    )
    found = opened(given.package.encode(), private=PRIVATE)
    assert len((found.words or "").split()) == 24
    with pytest.raises(errors.KeyExportUnknown):
        await fetch(by=checker, approval_id=export_id)
    async with office.database.connection() as connection:
        rows = await connection.fetch("SELECT convert_from(payload, 'UTF8') AS told FROM messaging.outbox")
    facts = [row["told"] for row in rows if "key.exported.v1" in row["told"]]
    assert len(facts) == 1
    assert all(found.seed not in row["told"] and given.package not in row["told"] for row in rows)


async def test_what_the_signers_own_policy_is_against_fails_although_two_people_want_it(office: Office) -> None:
    maker, checker = await office.treasurer(), await office.treasurer()
    asked = await office.asked(maker)
    done = await office.identity.approvals.approve(by=checker, approval_id=UUID(asked.id))
    assert (done.status, (done.reason or "")[:18]) == ("failed", "export_not_allowed")
    with pytest.raises(errors.KeyExportWaits):
        await office.custody.exporting.fetch(by=maker, approval_id=UUID(asked.id))
    with pytest.raises(signer_errors.ExportNotAllowed):
        await office.signer.export(
            request_id=UUID(asked.id), tree_id=office.tree_id, recipient=bytes.fromhex(RECIPIENT)
        )


async def test_nobody_else_asks_for_a_seed(office: Office) -> None:
    ask = office.custody.exporting.ask
    treasurer = await office.treasurer()
    about: dict[str, Any] = {"recipient": RECIPIENT, "reason": "x", "proof": None}
    with pytest.raises(errors.ChainUnknown):
        await ask(by=treasurer, chain="dogecoin", **about)
    with pytest.raises(identity_errors.SecondFactorMissing):
        await ask(by=treasurer, chain="tiny", **about)
    for by in (by_key(treasurer), msgspec.structs.replace(treasurer, user_id=None)):
        with pytest.raises(SessionNeeded):
            await ask(by=by, chain="tiny", **about)
    for role in STAFF_ROLES - {"treasurer"}:
        with pytest.raises(MissingScope):
            await ask(by=await person(office.database, role), chain="tiny", **about)
