"""What the service is asked that it should not be: told by its stable code and its place, and nothing is done."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from billfold.kernel import ids
from billfold.ledger.contracts import EntryFilter, NewHold
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.ledger.rpc.v1 import ledger_pb2_grpc as pb_grpc
from billfold.platform.rpc import statuses
from billfold.platform.rpc.errors import DeadlinePassed
from billfold.platform.rpc.interceptors import Timed
from billfold.platform.rpc.serving import MESSAGE_MAX_BYTES
from tests import servers
from tests.integration.ledger.blocker import blocker
from tests.integration.ledger.support import Bank, eventually, key
from tests.ledgers import LedgerServer

ID = "019aa2c6-7a00-7000-8000-000000000001"
OTHER = "019aa2c6-7a00-7000-8000-000000000002"
KEY = pb.Key(text="k")
GOOD = pb.NewTransfer(debit_account=ID, credit_account=OTHER, amount="1", asset="USD")
UNKNOWN_KIND: Any = 99


@pytest.fixture
async def stub(role_server: LedgerServer) -> AsyncIterator[Any]:
    """A client as any program has it, without ours."""
    options = [("grpc.max_send_message_length", 2 * MESSAGE_MAX_BYTES)]
    async with grpc.aio.insecure_channel(role_server.address, options=options) as channel:
        yield pb_grpc.LedgerServiceStub(channel)  # type: ignore[no-untyped-call]


@pytest.fixture
async def bank(served_database: servers.TestDatabase, role_server: LedgerServer) -> AsyncIterator[Bank]:
    async with Bank.opened(served_database.app_dsn, served_by=[role_server]) as bank:
        yield bank


async def refused(call: Any) -> tuple[grpc.StatusCode, str, str | None]:
    """Status, code and the place of what is wrong."""
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    info = statuses._info(failed.value)
    assert info is not None, failed.value
    return failed.value.code(), info.reason, info.metadata.get("pointer")


def post(new: pb.NewTransfer | None = None, *, key: pb.Key | None = KEY, **fields: Any) -> pb.PostRequest:
    """A request with one transfer that is good but for these fields."""
    wanted = pb.NewTransfer()
    wanted.CopyFrom(new or GOOD)
    for name, value in fields.items():
        setattr(wanted, name, value)
    return pb.PostRequest(key=key, transfers=[pb.Wanted(transfer=wanted)], linked=True)


def at(seconds: int) -> pb.NewTransfer:
    """A good transfer of an instant that no calendar has."""
    wanted = pb.NewTransfer()
    wanted.CopyFrom(GOOD)
    wanted.effective_at.CopyFrom(Timestamp(seconds=seconds))
    return wanted


@pytest.mark.parametrize(
    ("request_", "code", "pointer"),
    [
        (post(key=None), "message_invalid", "/key"),
        (post(key=pb.Key(text="")), "invalid_idempotency_key", None),
        (post(key=pb.Key(text="two words")), "invalid_idempotency_key", None),
        (post(key=pb.Key(text="x" * 256)), "invalid_idempotency_key", None),
        (post(key=pb.Key(digested=pb.DigestedKey())), "message_invalid", "/key/digested/digest"),
        (post(key=pb.Key(digested=pb.DigestedKey(digest="k"))), "invalid_id", "/key/digested/digest"),
        (pb.PostRequest(key=KEY), "message_invalid", "/transfers"),
        (pb.PostRequest(key=KEY, transfers=[pb.Wanted(transfer=GOOD)] * 1_001), "message_invalid", "/transfers"),
        (pb.PostRequest(key=KEY, transfers=[pb.Wanted()]), "message_invalid", "/transfers/0/transfer"),
        (
            pb.PostRequest(key=KEY, transfers=[pb.Wanted(refusal=pb.Refusal(code="made_up"))]),
            "message_invalid",
            "/transfers/0/refusal/code",
        ),
        (
            pb.PostRequest(
                key=KEY,
                linked=True,
                transfers=[pb.Wanted(transfer=GOOD), pb.Wanted(refusal=pb.Refusal(code="insufficient_funds"))],
            ),
            "message_invalid",
            "/transfers",
        ),
        (post(debit_account=""), "message_invalid", "/transfers/0/transfer/debit_account"),
        (post(credit_account="somebody"), "invalid_id", "/transfers/0/transfer/credit_account"),
        (post(asset=""), "message_invalid", "/transfers/0/transfer/asset"),
        (post(amount=""), "message_invalid", "/transfers/0/transfer/amount"),
        (post(amount="1.00"), "invalid_amount", "/transfers/0/transfer/amount"),
        (post(amount="1e3"), "invalid_amount", "/transfers/0/transfer/amount"),
        (post(amount="٣"), "invalid_amount", "/transfers/0/transfer/amount"),
        (post(amount="9" * 80), "amount_too_large", "/transfers/0/transfer/amount"),
        (post(kind=UNKNOWN_KIND), "message_invalid", "/transfers/0/transfer/kind"),
        (post(at(2**62)), "invalid_instant", "/transfers/0/transfer/effective_at"),
        (post(at(-(10**12))), "invalid_instant", "/transfers/0/transfer/effective_at"),
    ],
)
async def test_a_malformed_request_is_told_by_its_code_and_place(
    stub: Any, request_: pb.PostRequest, code: str, pointer: str | None
) -> None:
    assert await refused(stub.Post(request_)) == (grpc.StatusCode.INVALID_ARGUMENT, code, pointer)


@pytest.mark.parametrize(
    ("method", "request_", "code", "pointer"),
    [
        ("Reverse", pb.ReverseRequest(key=KEY), "message_invalid", "/transfer_id"),
        ("PlaceHold", pb.PlaceHoldRequest(key=KEY), "message_invalid", "/hold/account"),
        ("SettleHold", pb.SettleHoldRequest(key=KEY, hold_id=ID), "message_invalid", "/credit_account"),
        ("ReleaseHold", pb.ReleaseHoldRequest(key=KEY), "message_invalid", "/hold_id"),
        ("ReleaseHold", pb.ReleaseHoldRequest(hold_id=ID), "message_invalid", "/key"),
        ("ExpireHolds", pb.ExpireHoldsRequest(), "message_invalid", "/limit"),
        ("RefuseHold", pb.RefuseHoldRequest(key=KEY), "message_invalid", "/refusal/code"),
        ("RehearseHold", pb.RehearseHoldRequest(), "message_invalid", "/hold/account"),
        ("RehearseSettlement", pb.RehearseSettlementRequest(hold_id=ID), "message_invalid", "/unopened/id"),
        ("LookUp", pb.LookUpRequest(), "message_invalid", "/key"),
        ("ListAnswered", pb.ListAnsweredRequest(), "message_invalid", "/keys"),
        (
            "OpenAccounts",
            pb.OpenAccountsRequest(accounts=[pb.NewAccount(id=ID)]),
            "message_invalid",
            "/accounts/0/asset",
        ),
        ("GetAccounts", pb.GetAccountsRequest(), "message_invalid", "/ids"),
        ("GetBalances", pb.GetBalancesRequest(), "message_invalid", "/points"),
        ("GetBalanceHistory", pb.GetBalanceHistoryRequest(account=ID), "message_invalid", "/until"),
        ("ListHolds", pb.ListHoldsRequest(limit=1_001), "message_invalid", "/limit"),
        ("ListEntries", pb.ListEntriesRequest(accounts=["x"], limit=1), "invalid_id", "/accounts/0"),
        ("GetTransfer", pb.GetTransferRequest(), "message_invalid", "/transfer_id"),
    ],
)
async def test_no_method_goes_on_without_what_it_needs(
    stub: Any, method: str, request_: Any, code: str, pointer: str
) -> None:
    assert await refused(getattr(stub, method)(request_)) == (grpc.StatusCode.INVALID_ARGUMENT, code, pointer)


async def test_what_is_not_there_is_not_found(stub: Any) -> None:
    for call, code in (
        (stub.GetTransfer(pb.GetTransferRequest(transfer_id=ID)), "transfer_unknown"),
        (stub.GetHold(pb.GetHoldRequest(hold_id=ID)), "hold_unknown"),
        (
            stub.PlaceHold(
                pb.PlaceHoldRequest(key=pb.Key(text="nobody"), hold=pb.NewHold(account=ID, amount="1", asset="USD"))
            ),
            "account_unknown",
        ),
    ):
        assert await refused(call) == (grpc.StatusCode.NOT_FOUND, code, None)


async def test_a_method_that_nobody_has_is_unimplemented(role_server: LedgerServer) -> None:
    async with grpc.aio.insecure_channel(role_server.address) as channel:
        call: Any = channel.unary_unary("/billfold.ledger.v1.LedgerService/GiveMoney", bytes, bytes)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(b"")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_message_that_is_no_message_ends_its_call_alone(role_server: LedgerServer, stub: Any) -> None:
    async with grpc.aio.insecure_channel(role_server.address) as channel:
        call: Any = channel.unary_unary("/billfold.ledger.v1.LedgerService/Post", bytes, bytes)
        with pytest.raises(grpc.aio.AioRpcError):
            await call(b"\xff\xff\xff")
    assert (await stub.GetTime(pb.GetTimeRequest())).now.seconds > 0


async def test_an_oversized_message_is_refused_and_the_next_call_served(stub: Any) -> None:
    padding = pb.NewTransfer(description="x" * (MESSAGE_MAX_BYTES + 1))
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.Post(pb.PostRequest(key=KEY, transfers=[pb.Wanted(transfer=padding)]))
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (await stub.GetTime(pb.GetTimeRequest())).now.seconds > 0


async def test_the_callers_request_id_stands_in_the_log_and_in_the_refusal(
    stub: Any, role_server: LedgerServer
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.Post(post(key=None), metadata=(("x-request-id", "from-a-test-7"),))
    info = statuses._info(failed.value)
    assert info is not None
    assert info.metadata["request_id"] == "from-a-test-7"
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.Post(post(key=None), metadata=(("x-request-id", "no good"),))
    info = statuses._info(failed.value)
    assert info is not None
    assert ids.parse(info.metadata["request_id"])


async def test_a_text_key_stands_for_one_content(stub: Any, bank: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    wanted = pb.NewTransfer(
        debit_account=str(a), credit_account=str(b), amount="10", asset="USD", metadata={"z": "1", "a": "2"}
    )
    own = pb.Key(text=f"rent-{ids.new()}")
    first = (await stub.Post(post(wanted, key=own))).posting
    again = (await stub.Post(post(wanted, key=own))).posting
    assert (first.replayed, again.replayed) == (False, True)
    assert first.results == again.results
    status, code, _ = await refused(stub.Post(post(wanted, key=own, amount="11")))
    assert (status, code) == (grpc.StatusCode.INVALID_ARGUMENT, "idempotency_key_reused")
    found = await stub.LookUp(pb.LookUpRequest(key=own))
    assert found.posting.results == first.results
    nothing = await stub.LookUp(pb.LookUpRequest(key=pb.Key(text=f"none-{ids.new()}")))
    assert nothing.WhichOneof("answer") is None
    assert await bank.balances(a, b) == [90, 110]


async def test_refused_holds_and_changes_are_found_by_their_keys(bank: Bank) -> None:
    account = await bank.account(100)
    placed, refusal = key(), key()
    change = await bank.ledger.place_hold(key=placed, hold=NewHold(account=account, amount=40, asset="USD"))
    with pytest.raises(Exception, match="not enough"):
        await bank.ledger.place_hold(key=refusal, hold=NewHold(account=account, amount=70, asset="USD"))
    found = await bank.ledger.look_up(digest=placed.digest)
    assert found == type(change)(hold=change.hold, replayed=True)
    told = await bank.ledger.look_up(digest=refusal.digest)
    assert type(told).__name__ == "InsufficientFunds"
    assert await bank.ledger.look_up(digest=ids.new()) is None


async def test_an_account_is_opened_with_the_floor_that_is_asked_for(stub: Any, bank: Bank) -> None:
    opened = {"plain": {}, "credit": {"floor": "-500"}, "none": {"unlimited": True}}
    accounts = {name: ids.new() for name in opened}
    await stub.OpenAccounts(
        pb.OpenAccountsRequest(
            accounts=[pb.NewAccount(id=str(accounts[name]), asset="USD", **fields) for name, fields in opened.items()]  # type: ignore[arg-type]
        )
    )
    found = await bank.ledger.accounts(ids=list(accounts.values()))
    assert [account.floor for account in found] == [0, -500, None]


async def test_assets_are_listed_with_their_accounts_of_the_outside(stub: Any, bank: Bank) -> None:
    listed = {asset.code: asset for asset in (await stub.ListAssets(pb.ListAssetsRequest())).assets}
    assert (listed["USD"].scale, listed["USD"].external_account) == (2, str(bank.outside))
    assert not listed["USD"].HasField("chain")
    assert listed["ETH"].chain == "ethereum"


async def test_what_is_asked_of_all_accounts_is_what_the_facade_tells(bank: Bank, other_bank_here: Bank) -> None:
    a, b = await bank.accounts(2, 100)
    await bank.pay(a, b, 5)
    for amount in (1, 2, 3):
        await bank.hold(a, amount)
    here, there = other_bank_here.ledger, bank.ledger
    everything = EntryFilter()
    entries = await here.entries_of_all(filter=everything, after=None, limit=5)
    assert await there.entries_of_all(filter=everything, after=None, limit=5) == entries
    after = (entries[1].transfer_id, entries[1].account)
    assert (await there.entries_of_all(filter=everything, after=after, limit=3)) == entries[2:5]
    assert await there.summaries_of_all(filter=everything) == await here.summaries_of_all(filter=everything)
    holds = await here.holds_of_all(status="active", after=None, limit=3)
    assert await there.holds_of_all(status="active", after=None, limit=3) == holds
    assert await there.holds_of_all(status=None, after=holds[0].id, limit=2) == holds[1:]


@pytest.fixture
async def other_bank_here(served_database: servers.TestDatabase) -> AsyncIterator[Bank]:
    async with Bank.opened(served_database.app_dsn) as bank:
        yield bank


async def test_a_call_whose_deadline_passes_is_told_so_and_its_key_says_what_became_of_it(
    stub: Any, bank: Bank, served_database: servers.TestDatabase
) -> None:
    a, b = await bank.accounts(2, 100)
    wanted = pb.NewTransfer(debit_account=str(a), credit_account=str(b), amount="10", asset="USD")
    own = pb.Key(text=f"late-{ids.new()}")
    async with blocker(served_database.owner_dsn) as other:
        await other.lock_row(a)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            # The server has begun by then on any machine: what it never hears of it does not do.
            await stub.Post(post(wanted, key=own), timeout=2.0)
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (await stub.LookUp(pb.LookUpRequest(key=own))).WhichOneof("answer") is None

    async def posted() -> bool:
        return bool((await stub.LookUp(pb.LookUpRequest(key=own))).WhichOneof("answer") == "posting")

    await eventually(posted)
    assert (await stub.Post(post(wanted, key=own))).posting.replayed
    assert await bank.balances(a, b) == [90, 110]


class _Late:
    def time_remaining(self) -> float:
        return 0.0


async def test_a_call_that_comes_after_its_deadline_is_not_begun() -> None:
    begun = False
    with pytest.raises(DeadlinePassed):
        async with Timed().call("/a/b", {}, _Late(), streaming=False):
            begun = True
    assert not begun
