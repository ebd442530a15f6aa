"""What the role `ledger` refuses is recorded once: by whoever has called it, or here if that is nobody of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from billfold.kernel import facts, ids
from billfold.ledger import rpc
from billfold.ledger.rpc import writing
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.ledger.rpc.v1 import ledger_pb2_grpc as pb_grpc
from billfold.platform import host, tls
from billfold.platform.messaging.notary import REFUSED
from billfold.platform.postgres.database import Database
from billfold.platform.rpc import interceptors
from billfold.platform.rpc.witness import STRANGERS
from tests import ledgers, servers
from tests.certificates import Authority
from tests.integration.api import support as api
from tests.integration.audit import support
from tests.integration.ledger.support import new
from tests.ledgers import LedgerServer

TOKEN = "a token that nobody guesses"
#: As many as a block of a stream takes.
MANY = 1_000


@pytest.fixture(scope="module")
def ledger(
    core: servers.TestDatabase, kept: servers.TestDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LedgerServer]:
    folder = tmp_path_factory.mktemp("ledger")
    with ledgers.serving(core.app_dsn, folder, audit__dsn=kept.app_dsn, ledger__token=TOKEN) as server:
        yield server


@pytest.fixture
async def stub(ledger: LedgerServer, shared: Database) -> AsyncIterator[Any]:
    """Somebody who calls the role by themselves. Nothing is told yet, and nobody takes away what is."""
    async with shared.connection() as connection:
        await connection.execute("DELETE FROM messaging.outbox")
    async with grpc.aio.insecure_channel(ledger.address) as channel:
        yield pb_grpc.LedgerServiceStub(channel)  # type: ignore[no-untyped-call]


def metadata(**more: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {TOKEN}"), *((name.replace("_", "-"), value) for name, value in more.items()))


def own_key() -> pb.Key:
    return pb.Key(text=str(ids.new()))


async def accounts(stub: Any) -> tuple[UUID, UUID]:
    made = ids.many(2)
    opened = [pb.NewAccount(id=str(one), asset="USD", floor="0") for one in made]
    await stub.OpenAccounts(pb.OpenAccountsRequest(accounts=opened), metadata=metadata())
    return made[0], made[1]


async def refused(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value.code().name


async def test_a_transfer_that_is_refused_is_recorded_with_what_it_would_have_moved(
    stub: Any, shared: Database
) -> None:
    a, b = await accounts(stub)
    request = pb.PostRequest(key=own_key(), transfers=[writing.wanted(new(a, b, 700))])
    answer = await stub.Post(request, metadata=metadata(x_request_id="by-itself"))
    assert answer.posting.results[0].refusal.code == "insufficient_funds"
    (told,) = await support.told(shared, kind=REFUSED)
    assert (told.outcome, told.subject) == ("insufficient_funds", "billfold.ledger.v1.LedgerService/Post")
    assert (told.origin.channel, told.origin.request_id) == ("grpc", "by-itself")
    assert told.origin.address.startswith("unix:")
    assert (told.data["debit_account"], told.data["credit_account"]) == (str(a), str(b))
    assert (told.data["units"], told.data["asset"], told.data["item"]) == ("700", "USD", 0)


async def test_of_a_linked_group_it_is_told_what_has_refused_all_of_it(stub: Any, shared: Database) -> None:
    a, b = await accounts(stub)
    transfers = [writing.wanted(new(a, b, 1)) for _ in range(5)]
    await stub.Post(pb.PostRequest(key=own_key(), transfers=transfers, linked=True), metadata=metadata())
    (told,) = await support.told(shared, kind=REFUSED)
    assert (told.outcome, told.data["item"]) == ("insufficient_funds", 0)


async def test_refusals_in_a_stream_are_a_row_for_every_fifty_of_them(stub: Any, shared: Database) -> None:
    a, b = await accounts(stub)
    items = [pb.PostStreamRequest.Item(key=own_key(), transfer=writing.wanted(new(a, b, 1))) for _ in range(MANY)]
    items[7] = pb.PostStreamRequest.Item(key=own_key())
    stream = stub.PostStream(iter([pb.PostStreamRequest(items=items)]), metadata=metadata())
    assert [len(response.answers) async for response in stream] == [MANY]
    told = await support.told(shared, kind=REFUSED)
    assert [fact.data["item"] for fact in told] == list(range(MANY))
    assert told[7].outcome == "message_invalid"
    async with shared.connection() as connection:
        rows = await connection.fetchval("SELECT count(*) FROM messaging.outbox WHERE kind = 'audit'")
    assert rows == MANY / facts.TOGETHER_MAX


async def test_a_hold_and_a_message_that_are_refused_are_recorded_and_questions_are_not(
    stub: Any, shared: Database
) -> None:
    a, _ = await accounts(stub)
    hold = pb.NewHold(account=str(a), amount="5", asset="USD")
    assert await refused(stub.PlaceHold(pb.PlaceHoldRequest(key=own_key(), hold=hold), metadata=metadata()))
    assert await refused(stub.Post(pb.PostRequest(key=own_key()), metadata=metadata()))
    assert await refused(stub.GetHold(pb.GetHoldRequest(hold_id=str(a)), metadata=metadata())) == "NOT_FOUND"
    told = await support.told(shared, kind=REFUSED)
    assert [(fact.outcome, fact.data["method"].rpartition("/")[2]) for fact in told] == [
        ("insufficient_funds", "PlaceHold"),
        ("message_invalid", "Post"),
    ]


async def test_whoever_is_not_known_is_recorded_whatever_they_say_of_themselves_and_not_without_limit(
    stub: Any, shared: Database
) -> None:
    forged = (("authorization", "Bearer another"), (interceptors.ORIGIN, "eyJjaGFubmVsIjoiYXBpIn0="))
    for _ in range(2 * STRANGERS.amount):
        assert await refused(stub.GetTime(pb.GetTimeRequest(), metadata=forged)) == "UNAUTHENTICATED"
    told = await support.told(shared, kind=REFUSED)
    assert {(fact.outcome, fact.origin.channel) for fact in told} == {("caller_unknown", "grpc")}
    # A minute may have ended in between.
    assert STRANGERS.amount <= len(told) < 2 * STRANGERS.amount


async def test_whose_name_is_not_on_the_list_is_recorded_with_their_name(
    core: servers.TestDatabase, kept: servers.TestDatabase, shared: Database, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    shown, theirs = authority.signed("server"), authority.signed("reports", host="reports.internal")
    with ledgers.serving(
        core.app_dsn,
        tmp_path,
        audit__dsn=kept.app_dsn,
        ledger__listen=f"127.0.0.1:{host.free_port()}",
        ledger__tls_certificate=str(shown.certificate),
        ledger__tls_key=str(shown.key),
        ledger__tls_authority=str(authority.certificate),
        ledger__allowed_clients="api.internal",
    ) as server:
        mutual = tls.mutual(theirs.certificate, theirs.key, authority.certificate)
        credentials = grpc.ssl_channel_credentials(
            root_certificates=mutual.authority, private_key=mutual.key, certificate_chain=mutual.certificate
        )
        async with grpc.aio.secure_channel(server.address, credentials) as channel:
            stranger = pb_grpc.LedgerServiceStub(channel)  # type: ignore[no-untyped-call]
            assert await refused(stranger.GetTime(pb.GetTimeRequest())) == "PERMISSION_DENIED"
    told = (await support.told(shared, kind=REFUSED))[-1]
    assert (told.outcome, told.data["caller"].split(", ")[0]) == ("caller_not_allowed", "reports.internal")
    assert told.origin.address.startswith("ipv4:127.0.0.1:")


@pytest.mark.usefixtures("stub")
async def test_what_the_api_calls_for_somebody_is_recorded_once_with_who_that_is(
    core: servers.TestDatabase, kept: servers.TestDatabase, ledger: LedgerServer, shared: Database, tmp_path: Path
) -> None:
    calling = {"ledger__address": ledger.address, "ledger__token": TOKEN}
    with api.running_api(core, tmp_path, audit__dsn=kept.app_dsn, **calling) as server:
        caller = server.caller(await api.bootstrapped(core))
        ada, bob = support.wallet(caller, "Ada"), support.wallet(caller, "Bob")
        item = {"kind": "transfer", "from": ada, "to": bob, "money": {"amount": "2.00", "asset": "USD"}}
        # Where there is no account yet nothing is asked of the ledger.
        for one in (ada, bob):
            caller.post(f"/wallets/{one}/deposits", {"money": {"amount": "1.00", "asset": "USD"}})
        assert support.pay(caller, ada, bob, "2.00", x_request_id="single").status_code == 422
        assert caller.post("/transfers/bulk", {"items": [item] * 2}, x_request_id="bulk").json()["refused"] == 2
        hold = {"wallet": ada, "money": {"amount": "2.00", "asset": "USD"}}
        assert caller.post("/holds", hold, x_request_id="hold").status_code == 422
    told = await support.told(shared, kind=REFUSED)
    assert [fact.origin.request_id for fact in told] == ["single", "bulk", "bulk", "hold"]
    assert {fact.origin.channel for fact in told} == {"api"}
    assert {fact.source for fact in told} == {"/billfold/api"}


def test_every_method_that_changes_something_is_told_of_and_no_other() -> None:
    methods = {method.name for method in pb.DESCRIPTOR.services_by_name["LedgerService"].methods}
    changing = {name.rpartition("/")[2] for name in rpc.COMMANDS}
    asking = ("Get", "List", "Stream", "Summarize", "Watch", "Rehearse", "LookUp")
    assert methods - changing == {name for name in methods if name.startswith(asking)}
