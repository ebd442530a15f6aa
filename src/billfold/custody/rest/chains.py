"""Routes of the chains themselves."""

from typing import Annotated

import msgspec
from litestar import get, post
from msgspec import Meta

from billfold.chains import errors as chain_errors
from billfold.custody import Custody, contracts, errors
from billfold.custody.contracts import ChainState
from billfold.platform import web

_TAG = "Chains"
#: No chain will ever be there.
_HEIGHT_MAX = 10**15
_EXAMPLE = {
    "id": "bitcoin",
    "network": "main",
    "coin": "BTC",
    "status": "reading",
    "height": 925_000,
    "head": 925_000,
    "lag": 0,
    "block_time": "2026-01-31T12:00:00.000000Z",
    "credit_after": 2,
    "release_after": 6,
    "halted": None,
    "halted_detail": None,
    "partial_from": None,
    "openings": [],
}
_STELLAR = _EXAMPLE | {
    "id": "stellar",
    "coin": "XLM",
    "openings": [
        {
            "kind": "channel",
            "subject": "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ",
            "state": "opening",
            "reason": "",
        }
    ],
}


class Rescan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    """From where on a chain is to be read."""

    from_: Annotated[int, Meta(description="The first block that is read again.", ge=1, le=_HEIGHT_MAX)]


class Channels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many channels there are to be."""

    count: Annotated[
        int,
        Meta(description="All together, those that are open already included.", ge=1, le=contracts.CHANNELS_MAX),
    ]


class ChainList(msgspec.Struct, frozen=True, kw_only=True):
    """Every chain that is served."""

    items: list[ChainState]


@get(
    "/chains",
    opt=web.operation(
        summary="List chains",
        tag=_TAG,
        scope=contracts.READ,
        description="How far each chain is read, and how many confirmations a deposit takes. `status` is `starting`, "
        "`reading`, `behind` (there are blocks to read), `silent` (its nodes don't answer) or `halted`. From the block "
        "`partial_from` on its nodes don't show all that blocks move.",
        answers={"items": [_EXAMPLE]},
    ),
)
async def list_chains(custody: Custody) -> ChainList:
    return ChainList(items=await custody.chains.states())


@get(
    "/chains/{chain:str}",
    opt=web.operation(
        summary="Get a chain", tag=_TAG, scope=contracts.READ, errors=(errors.ChainUnknown,), answers=_EXAMPLE
    ),
)
async def get_chain(chain: str, custody: Custody) -> ChainState:
    return await custody.chains.state(chain=chain)


@post(
    "/chains/{chain:str}/resume",
    status_code=200,
    opt=web.operation(
        summary="Resume a chain",
        tag=_TAG,
        scope=contracts.READ,
        also=(contracts.OPERATOR,),
        description="For operators: read on in a chain that was halted because it has replaced too many blocks. What "
        "these had credited is taken back.",
        errors=(errors.ChainUnknown, errors.ChainNotHalted),
        answers=_EXAMPLE,
    ),
)
async def resume(chain: str, custody: Custody) -> ChainState:
    return await custody.chains.resume(chain=chain)


@post(
    "/chains/{chain:str}/rescan",
    status_code=200,
    opt=web.operation(
        summary="Read a chain anew",
        tag=_TAG,
        scope=contracts.READ,
        also=(contracts.OPERATOR,),
        description="For operators: read a chain that was halted anew from a block on, when `resume` finds no block "
        "that is still there. Name one before the first that was replaced. What is there again stays credited, and is "
        "not credited twice; what is not there any more is taken back.",
        errors=(
            errors.ChainUnknown,
            errors.ChainNotHalted,
            errors.RescanTooHigh,
            chain_errors.NodeUnavailable,
            chain_errors.NodeWrong,
        ),
        sends={"from": 925_000},
        answers=_EXAMPLE | {"status": "behind", "height": 924_999, "lag": 120, "head": 925_119},
    ),
)
async def rescan(chain: str, command: Rescan, custody: Custody) -> ChainState:
    return await custody.chains.rescan(chain=chain, height=command.from_)


@post(
    "/chains/{chain:str}/channels",
    status_code=200,
    opt=web.operation(
        summary="Open channels",
        tag=_TAG,
        scope=contracts.WITHDRAW,
        also=(contracts.OPERATOR,),
        description="For operators, of Stellar: have so many accounts that give withdrawals their sequence numbers, "
        "each one at a time. The worker opens those that are missing, and the house pays what they are given. "
        "`openings` of the answer says how far each is.",
        errors=(errors.ChainUnknown, errors.ChannelsNotKnown, errors.AddressesUnavailable),
        sends={"count": 8},
        answers=_STELLAR,
    ),
)
async def open_channels(chain: str, command: Channels, custody: Custody) -> ChainState:
    return await custody.chains.open_channels(chain=chain, count=command.count)


handlers = [list_chains, get_chain, resume, rescan, open_channels]
