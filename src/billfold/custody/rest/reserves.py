"""Proofs of reserves: ask for one, see how far it is, and read what is published."""

from typing import Annotated

import msgspec
from litestar import get, post
from msgspec import Meta

from billfold.custody import Custody, contracts, errors
from billfold.custody.contracts.reserves import ASSETS_MAX, FORMAT, Reserves, ReserveSnapshot
from billfold.kernel import forms, ids
from billfold.kernel.principal import Principal
from billfold.platform import web

_TAG = "Proof of reserves"
_ID = "019aa2c6-7a00-7000-8000-00000000f00d"
_AT = "2026-01-31T12:00:00.000000Z"
_ROOT = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_SNAPSHOT = {"id": _ID, "at": _AT, "assets": ["BTC"], "status": "done", "root": _ROOT, "reason": ""}
_DOCUMENT = {
    "format": FORMAT,
    "snapshot": _ID,
    "at": _AT,
    "root": _ROOT,
    "assets": [
        {
            "asset": "BTC",
            "scale": 8,
            "chain": "bitcoin",
            "token": None,
            "owed": "123400000",
            "depth": 4,
            "top": "fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13",
            "below_zero": "0",
            "held": "125000000",
        }
    ],
    "chains": [
        {
            "chain": "bitcoin",
            "network": "main",
            "height": 925_000,
            "addresses": [
                {
                    "address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
                    "amounts": {"BTC": "125000000"},
                    "signature": "AkcwRAIgZRfIY3p7…",
                }
            ],
            "left_out": 0,
        }
    ],
}
_Code = Annotated[str, Meta(min_length=1, max_length=20, pattern=forms.NO_NUL)]


class NewSnapshot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be proved."""

    assets: (
        Annotated[
            list[_Code],
            Meta(description="Their codes; all that are on chains if absent.", min_length=1, max_length=ASSETS_MAX),
        ]
        | None
    ) = None


class SnapshotList(msgspec.Struct, frozen=True, kw_only=True):
    """The newest 100, the newest first."""

    items: list[ReserveSnapshot]


@post(
    "/reserves",
    status_code=202,
    opt=web.operation(
        summary="Make a proof of reserves",
        tag=_TAG,
        scope=contracts.READ,
        also=(contracts.OPERATOR,),
        description="For operators: of what is owed to all wallets at this instant, and of the addresses that hold it. "
        "A worker makes it; ask until its `status` is `done`. `reason` says what it waits for, or why it has failed.",
        errors=(errors.AssetNotOnChain, errors.ReservesPending),
        sends={"assets": ["BTC"]},
        answers=_SNAPSHOT | {"status": "requested", "root": None},
    ),
)
async def make(command: NewSnapshot, principal: Principal, custody: Custody) -> ReserveSnapshot:
    return await custody.reserves.request(asked_by=principal.owner_id, assets=command.assets)


@get(
    "/reserves",
    opt=web.operation(
        summary="List proofs of reserves", tag=_TAG, scope=contracts.READ, answers={"items": [_SNAPSHOT]}
    ),
)
async def list_snapshots(custody: Custody) -> SnapshotList:
    return SnapshotList(items=await custody.reserves.snapshots())


@get(
    "/reserves/{snapshot_id:str}",
    opt=web.operation(
        summary="Get a proof of reserves",
        tag=_TAG,
        scope=contracts.READ,
        errors=(ids.InvalidId, errors.ReservesUnknown),
        answers=_SNAPSHOT,
    ),
)
async def get_snapshot(snapshot_id: str, custody: Custody) -> ReserveSnapshot:
    return await custody.reserves.snapshot(snapshot_id=ids.parse(snapshot_id))


@get(
    "/reserves/{snapshot_id:str}/document",
    opt=web.operation(
        summary="Get the published file of a proof of reserves",
        tag=_TAG,
        scope=contracts.READ,
        description="What is owed in all, and the addresses that hold it, each signed by its key. It names nobody. "
        "`billfold verify-reserves` checks it without a server.",
        errors=(ids.InvalidId, errors.ReservesUnknown),
        answers=_DOCUMENT,
    ),
)
async def get_document(snapshot_id: str, custody: Custody) -> Reserves:
    return await custody.reserves.document(snapshot_id=ids.parse(snapshot_id))


handlers = [make, list_snapshots, get_snapshot, get_document]
