"""From a request to its record: what is done through a real API arrives in the audit by a real worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from billfold.audit import Audit
from billfold.audit.domain import exports, notes
from billfold.identity.contracts import Grant
from billfold.kernel import ids, origin
from billfold.kernel.origin import Origin
from billfold.platform.postgres.database import Database
from tests import facades, ledgers, master_keys, servers, workers
from tests.integration.api import support as api
from tests.integration.api import world
from tests.integration.audit import support


@pytest.fixture(scope="module")
def heads_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("heads") / "heads.txt"


@pytest.fixture(scope="module")
async def worker(
    core: servers.TestDatabase, kept: servers.TestDatabase, nats_server: servers.NatsServer, heads_file: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    more = {
        "BILLFOLD_AUDIT__DSN": kept.app_dsn,
        "BILLFOLD_AUDIT__SEAL_SECONDS": "1",
        "BILLFOLD_AUDIT__PUBLISH_FILE": str(heads_file),
    }
    async with workers.running_worker(core, nats_server, keys=master_keys.shared(), more=more) as process:
        yield process


@pytest.mark.usefixtures("worker")
async def test_a_transfer_is_recorded_with_who_asked_for_it_and_from_where(
    core: servers.TestDatabase, server: api.ApiServer, recorded: Audit
) -> None:
    caller = server.caller(await api.bootstrapped(core))
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    caller.post(f"/wallets/{ada}/deposits", {"money": {"amount": "10.00", "asset": "USD"}})
    first = support.pay(caller, ada, bob, "1.00", x_request_id="the-first")
    second = support.pay(caller, ada, bob, "2.00", x_request_id="the-second")
    for answer, request_id in ((first, "the-first"), (second, "the-second")):
        (record,) = await support.records(recorded, subject=answer.json()["id"])
        assert (record.type, record.outcome) == ("transfer.posted.v1", "done")
        assert (record.origin.channel, record.origin.address) == ("api", "127.0.0.1")
        assert record.origin.request_id == request_id
        assert record.data["money"] == answer.json()["money"]


@pytest.mark.usefixtures("worker")
async def test_transfers_in_bulk_are_recorded_one_by_one(
    core: servers.TestDatabase, server: api.ApiServer, recorded: Audit
) -> None:
    caller = server.caller(await api.bootstrapped(core))
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    caller.post(f"/wallets/{ada}/deposits", {"money": {"amount": "500.00", "asset": "USD"}})
    item = {"kind": "transfer", "from": ada, "to": bob, "money": {"amount": "1.00", "asset": "USD"}}
    answer = caller.post("/transfers/bulk", {"atomic": True, "items": [item] * 120}, x_request_id="the-bulk").json()
    posted = [one["transfer"]["id"] for one in answer["results"]]
    (last,) = await support.records(recorded, subject=posted[-1])
    async with asyncio.timeout(support.ARRIVES_S):
        found = [(await support.records(recorded, subject=each))[0] for each in posted]
    assert {record.origin.request_id for record in found} == {"the-bulk"}
    assert [record.position for record in found] == list(range(found[0].position, last.position + 1))


@pytest.mark.usefixtures("worker")
async def test_where_a_transfer_comes_from_is_known_to_a_ledger_in_another_process(
    core: servers.TestDatabase, kept: servers.TestDatabase, recorded: Audit, tmp_path: Path
) -> None:
    with (
        ledgers.serving(core.app_dsn, tmp_path, audit__dsn=kept.app_dsn) as ledger,
        api.running_api(core, tmp_path, audit__dsn=kept.app_dsn, ledger__address=ledger.address) as server,
    ):
        caller = server.caller(await api.bootstrapped(core))
        ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
        caller.post(f"/wallets/{ada}/deposits", {"money": {"amount": "10.00", "asset": "USD"}})
        posted = support.pay(caller, ada, bob, "1.00", x_request_id="by-grpc").json()
    (record,) = await support.records(recorded, subject=posted["id"])
    assert (record.origin.channel, record.origin.address) == ("api", "127.0.0.1")
    assert record.origin.request_id == "by-grpc"


@pytest.mark.usefixtures("worker")
async def test_a_transfer_that_is_carried_out_later_is_recorded_in_the_name_of_who_sent_it(
    core: servers.TestDatabase, server: api.ApiServer, recorded: Audit
) -> None:
    caller = server.caller(await api.bootstrapped(core))
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    caller.post(f"/wallets/{ada}/deposits", {"money": {"amount": "10.00", "asset": "USD"}})
    accepted = support.pay(caller, ada, bob, "1.00", prefer="respond-async", x_request_id="later")
    assert accepted.status_code == 202
    told = await support.records(recorded, subject=accepted.json()["id"], count=2)
    assert [record.type for record in told] == ["request.accepted.v1", "transfer.completed.v1"]
    assert (told[0].origin.channel, told[0].origin.request_id) == ("api", "later")
    assert (told[1].origin.channel, told[1].origin.credential_id) == ("worker", told[0].origin.credential_id)
    (moved,) = await support.records(recorded, subject=told[1].data["transfer_id"])
    assert (moved.origin.channel, moved.origin.credential_id) == ("worker", told[0].origin.credential_id)


@pytest.mark.usefixtures("worker")
async def test_a_refused_transfer_and_a_hold_are_recorded(
    core: servers.TestDatabase, server: api.ApiServer, recorded: Audit
) -> None:
    caller = server.caller(await api.bootstrapped(core))
    ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
    assert support.pay(caller, ada, bob, "1.00", x_request_id="too-much").status_code == 422
    refused = await support.records(recorded, outcome="insufficient_funds")
    assert refused[-1].origin.request_id == "too-much"
    assert refused[-1].data["route"] == "/api/v1/transfers"
    caller.post(f"/wallets/{ada}/deposits", {"money": {"amount": "10.00", "asset": "USD"}})
    held = caller.post(
        "/holds", {"wallet": ada, "money": {"amount": "3.00", "asset": "USD"}}, x_request_id="the-hold"
    ).json()
    (placed,) = await support.records(recorded, subject=held["id"])
    assert (placed.type, placed.origin.request_id) == ("hold.placed.v1", "the-hold")


@pytest.mark.usefixtures("worker")
async def test_a_change_is_recorded_with_what_was_before(
    core: servers.TestDatabase, server: api.ApiServer, recorded: Audit
) -> None:
    caller = server.caller(await api.bootstrapped(core))
    ada = support.wallet(caller, "Ada")
    caller.post(f"/wallets/{ada}/freeze", None)
    created, frozen = await support.records(recorded, subject=ada, count=2)
    assert [created.type, frozen.type] == ["wallet.created.v1", "wallet.frozen.v1"]
    assert (frozen.before["status"], frozen.data["status"]) == ("open", "frozen")
    assert frozen.origin.credential_id is not None


@pytest.mark.usefixtures("worker")
async def test_a_failed_login_is_recorded_with_its_address(server: api.ApiServer, recorded: Audit) -> None:
    stranger = server.caller(None)
    body = {"login": "nobody@example.com", "password": "not the right one"}
    assert stranger.post("/auth/login", body, x_request_id="knocking").status_code == 401
    found = await support.records(recorded, type="user.login_failed.v1")
    assert (found[-1].outcome, found[-1].origin.address) == ("login_failed", "127.0.0.1")
    assert (found[-1].origin.request_id, found[-1].origin.user_id) == ("knocking", None)


@pytest.mark.usefixtures("worker")
async def test_what_staff_look_at_is_recorded_before_they_see_it(
    core: servers.TestDatabase, server: api.ApiServer, recorded: Audit
) -> None:
    async with world.beside(core, issuer=server.url) as made:
        ada, helper = await made.person("user"), await made.login("support")
    assert server.caller(helper.token).get(f"/users/{ada}").status_code == 200
    (looked,) = await support.records(recorded, actor=str(helper.user_id), type="data.looked_at.v1")
    assert looked.subject == f"/api/v1/users/{ada}"
    assert server.caller(helper.token).request("POST", f"/wallets/{ids.new()}/freeze").status_code == 403
    (denied,) = await support.records(recorded, actor=str(helper.user_id), type="request.refused.v1")
    assert denied.outcome == "missing_scope"


async def test_what_can_not_be_recorded_is_not_shown_and_not_done(
    core: servers.TestDatabase, server: api.ApiServer, postgres_server: servers.PostgresServer
) -> None:
    async with world.beside(core, issuer=server.url) as made:
        helper, auditor = await made.login("support"), await made.login("compliance")
        wallet_id = await made.wallet(await made.person("user"))
        assert server.caller(helper.token).get(f"/wallets/{wallet_id}").status_code == 200
        owner = await Database.connect(core.owner_dsn, name="test owner")
        try:
            async with owner.connection() as connection:
                await connection.execute(
                    "ALTER TABLE messaging.outbox ADD CONSTRAINT full_up CHECK (kind NOT LIKE '%audit') NOT VALID"
                )
            seen = server.caller(helper.token).get(f"/wallets/{wallet_id}")
            frozen = server.caller(auditor.token).post(f"/wallets/{wallet_id}/freeze", None)
        finally:
            async with owner.connection() as connection:
                await connection.execute("ALTER TABLE messaging.outbox DROP CONSTRAINT full_up")
            await owner.close()
        assert (seen.status_code, frozen.status_code) == (500, 500)
        assert server.caller(helper.token).get(f"/wallets/{wallet_id}").json()["status"] == "open"


@pytest.mark.usefixtures("worker")
async def test_heads_leave_the_machine_and_the_export_fits_them(
    core: servers.TestDatabase, server: api.ApiServer, recorded: Audit, heads_file: Path
) -> None:
    support.wallet(server.caller(await api.bootstrapped(core)), "Ada")
    async with asyncio.timeout(support.ARRIVES_S):
        # Another process makes it, and it is there before its first head is written into it.
        while not (heads_file.exists() and (published := notes.read_all(heads_file.read_text()))):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    checked = await support.checked(recorded, known=[note.head for note in published])
    assert checked.faults == []
    assert checked.sealed >= published[0].head.size


@pytest.mark.usefixtures("worker")
async def test_people_prove_their_own_records_and_see_nobody_elses(
    core: servers.TestDatabase, server: api.ApiServer, recorded: Audit
) -> None:
    async with world.beside(core, issuer=server.url) as made:
        ada, bob, auditor = [await made.login(role) for role in ("user", "user", "auditor")]
    as_ada, as_bob, as_auditor = (server.caller(login.token) for login in (ada, bob, auditor))
    support.wallet(as_ada, "Ada's")
    (own,) = await support.records(recorded, actor=str(ada.user_id), type="wallet.created.v1")
    async with asyncio.timeout(support.ARRIVES_S):
        while (proof := as_ada.get(f"/audit/records/{own.id}")).status_code != 200:
            assert proof.json()["code"] == "audit_not_sealed_yet"
            await asyncio.sleep(0.05)
    document = exports.read_proof(proof.content)
    assert document is not None
    assert exports.check_proof(document, trusted=await support.trusted(recorded)).faults == []
    assert [one["id"] for one in as_ada.get("/audit/records").json()["items"]].count(own.id) == 1
    assert as_bob.get("/audit/records").json()["items"] == []
    assert as_bob.get(f"/audit/records/{own.id}").status_code == 404
    assert as_bob.get("/admin/audit/records").status_code == 403
    assert as_auditor.get(f"/admin/audit/records/{own.id}").status_code == 200
    listed = as_auditor.get(f"/admin/audit/records?actor={ada.user_id}&type=wallet.").json()["items"]
    assert [one["id"] for one in listed] == [own.id]
    heads = as_bob.get("/audit/heads?limit=1").json()["items"]
    assert notes.read(heads[0]["note"]).head.size == heads[0]["size"]
    assert as_bob.get("/audit/keys").json()["keys"] == await recorded.sealing.public_keys()


@pytest.mark.usefixtures("worker")
async def test_what_is_done_at_the_machine_is_recorded_as_that(core: servers.TestDatabase, recorded: Audit) -> None:
    database = await Database.connect(core.app_dsn, name="test")
    try:
        identity = facades.identity(database)
        owner = await identity.keys.create_owner(name=f"Owner {ids.new()}")
        origin.begin(Origin(channel="cli", address="ada@laptop"))
        try:
            grant = Grant(owner_id=ids.parse(owner.id), name="A key", scopes=frozenset({"wallets:read"}))
            made, _ = await identity.keys.create_key(by=None, grant=grant)
        finally:
            origin.begin(None)
    finally:
        await database.close()
    (created,) = await support.records(recorded, subject=made.id)
    assert (created.origin.channel, created.origin.address) == ("cli", "ada@laptop")
