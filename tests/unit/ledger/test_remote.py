"""The facade over gRPC has what the facade has."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, cast, get_args

import msgspec
import pytest

from billfold.kernel import assets, ids
from billfold.kernel.errors import InternalError
from billfold.kernel.idempotency import Key
from billfold.ledger import Ledger, contracts, errors
from billfold.ledger.rpc import RemoteLedger, values, writing
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.platform.postgres.database import Database
from billfold.platform.rpc.replicas import Replicas

#: What stands in the caller's own database transaction; assets; what verification and the copy of the history read
#: themselves, as the relay does.
IN_PROCESS = {
    *("open_accounts", "set_status", "set_floor", "reserve", "unreserve"),
    *("assets", "asset", "external_account", "add_asset"),
    *("start", "verify", "transfers"),
}
#: How None is written, where it is not the same as nothing; and what an asset is told together with.
ONLY_WRITTEN = {"unlimited", "external_account"}

#: A server fails at each block that this one is in.
POISON = "poison"


class Failing:
    """A server with a defect, and the way to it."""

    async def call(self, _method: str, send: Callable[..., Awaitable[Any]], **_: Any) -> Any:
        return await send(self)

    async def PostStream(  # noqa: N802 - as the service calls it.
        self, blocks: Iterator[pb.PostStreamRequest]
    ) -> AsyncIterator[pb.PostStreamResponse]:
        for block in blocks:
            if any(item.transfer.transfer.reference == POISON for item in block.items):
                raise InternalError
            yield writing.answers([errors.InsufficientFunds() for _ in block.items], ids_only=False)


def methods(kind: type) -> dict[str, object]:
    found = inspect.getmembers(kind, predicate=inspect.isroutine)
    return {name: method for name, method in found if not name.startswith("_")}


def test_each_method_is_done_by_the_role_or_known_to_be_done_here() -> None:
    facade, remote = methods(Ledger), methods(RemoteLedger)
    done_here = {
        name
        for name in facade
        if getattr(remote[name], "__func__", remote[name]) is getattr(facade[name], "__func__", facade[name])
    }
    assert done_here == IN_PROCESS


def test_each_method_is_called_as_the_facades() -> None:
    facade, remote = methods(Ledger), methods(RemoteLedger)
    for name in facade.keys() - IN_PROCESS:
        ours, theirs = (inspect.signature(kind[name]).parameters for kind in (remote, facade))  # type: ignore[arg-type]
        assert ours == theirs, name


@pytest.mark.parametrize(
    ("struct", "message"),
    [
        (contracts.NewAccount, pb.NewAccount),
        (contracts.Account, pb.Account),
        (contracts.NewTransfer, pb.NewTransfer),
        (contracts.Transfer, pb.Transfer),
        (contracts.Unopened, pb.UnopenedAccount),
        (contracts.Posting, pb.Posting),
        (contracts.NewHold, pb.NewHold),
        (contracts.Hold, pb.Hold),
        (contracts.HoldChange, pb.HoldChange),
        (contracts.Entry, pb.Entry),
        (contracts.EntryFilter, pb.EntryFilter),
        (contracts.EntrySummary, pb.Summary),
        (contracts.Watched, pb.WatchAccountResponse),
        (assets.Asset, pb.Asset),
    ],
)
def test_a_message_has_the_fields_of_its_contract(struct: type[msgspec.Struct], message: Any) -> None:
    assert set(struct.__struct_fields__) == set(message.DESCRIPTOR.fields_by_name) - ONLY_WRITTEN


@pytest.mark.parametrize(
    ("words", "literal"),
    [
        (values.TRANSFER_KINDS, contracts.TransferKind),
        (values.ACCOUNT_KINDS, contracts.AccountKind),
        (values.ACCOUNT_STATUSES, contracts.AccountStatus),
        (values.HOLD_STATUSES, contracts.HoldStatus),
        (values.ASSET_KINDS, assets.AssetKind),
    ],
)
def test_an_enum_has_the_words_of_its_contract(words: values.Words, literal: object) -> None:
    assert set(words.number) == set(get_args(literal))


async def test_a_defect_of_the_server_is_the_failure_of_the_transfer_that_meets_it_alone() -> None:
    remote = RemoteLedger(cast("Database", None), cast("Replicas", Failing()))
    found = await remote.post_many(requests=[_request(text) for text in ("a", "b", POISON, "c", "d", POISON, "e")])
    assert [type(one) for one in found] == [
        *(errors.InsufficientFunds, errors.InsufficientFunds, errors.RequestFailed),
        *(errors.InsufficientFunds, errors.InsufficientFunds, errors.RequestFailed, errors.InsufficientFunds),
    ]


def _request(reference: str) -> tuple[Key, contracts.NewTransfer | errors.LedgerError]:
    new = contracts.NewTransfer(
        debit_account=ids.new(), credit_account=ids.new(), amount=1, asset="USD", reference=reference
    )
    return Key(ids.new(), 0), new
