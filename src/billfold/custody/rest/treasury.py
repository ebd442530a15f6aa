"""What operators see of the house's own money on chains."""

from typing import Annotated, Literal

import msgspec
from litestar import get, post
from msgspec import Meta

from billfold.chains import errors as chain_errors
from billfold.custody import Custody, contracts, errors
from billfold.custody.contracts import Child, Coins, HotLevel, Refill, Speed
from billfold.kernel import forms, paging
from billfold.platform import web

_TAG = "Treasury"
_AT = "2026-01-31T12:00:00.000000Z"
_WARM = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"


def _btc(amount: str) -> dict[str, str]:
    return {"amount": amount, "asset": "BTC"}


_LEVEL = {
    "chain": "bitcoin",
    "asset": "BTC",
    "free": _btc("0.42000000"),
    "waiting": _btc("0.10000000"),
    "low": _btc("0.50000000"),
    "target": _btc("1.00000000"),
    "high": _btc("2.00000000"),
    "side": "low",
    "since": _AT,
    "looked_at": _AT,
    "warm": _btc("17.00000000"),
    "warm_address": _WARM,
}
_REFILL = {
    "id": "019aa2c6-3c35-7000-8000-000000000001",
    "chain": "bitcoin",
    "money": _btc("0.68000000"),
    "warm_address": _WARM,
    "address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "received": _btc("0.00000000"),
    "opened_at": _AT,
    "closed_at": None,
    "outcome": None,
}


_COINS = {
    "chain": "bitcoin",
    "count": 812,
    "money": _btc("3.10000000"),
    "small": 640,
    "small_money": _btc("0.21000000"),
    "dust": 3,
    "dust_money": _btc("0.00000512"),
}


_TX_ID = forms.pattern("^[0-9a-f]{64}$", "64 hexadecimal digits in small letters")
_CHAIN_TX = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
_CHILD = {
    "id": "019aa2c6-3c35-7000-8000-000000000002",
    "chain": "bitcoin",
    "chain_tx": _CHAIN_TX,
    "child_tx": None,
    "money": _btc("0.12000000"),
    "network_fee": _btc("0.00007410"),
    "status": "allocated",
    "created_at": _AT,
}


class NewChild(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which transaction is to get into a block, and how soon."""

    chain: Annotated[str, Meta(examples=["bitcoin"], min_length=1, max_length=20, pattern=forms.NO_NUL)]
    chain_tx: Annotated[str, Meta(description="As the chain knows it.", examples=[_CHAIN_TX], pattern=_TX_ID)]
    speed: Speed = "fast"


class RefillList(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of the list."""

    state: Annotated[Literal["open"], Meta(description="Only what is still asked for.")] | None = None
    cursor: web.Cursor = None
    limit: web.Limit | None = None


class HotLevels(msgspec.Struct, frozen=True, kw_only=True):
    """Every asset with a band."""

    items: list[HotLevel]


@get(
    "/custody/hot",
    opt=web.operation(
        summary="List what lies ready",
        tag=_TAG,
        scope=contracts.READ,
        also=(contracts.OPERATOR,),
        description="For operators: of each asset with a band, what is at the hot address and in no transaction yet, "
        "what withdrawals that wait will take of it, and what lies at the warm address by the ledger. `side` is `low` "
        "or `high` when it is out of its band, since `since`.",
        answers={"items": [_LEVEL]},
    ),
)
async def list_hot(custody: Custody) -> HotLevels:
    return HotLevels(items=await custody.treasury.levels())


@get(
    "/custody/refills",
    opt=web.operation(
        summary="List refills",
        tag=_TAG,
        scope=contracts.READ,
        also=(contracts.OPERATOR,),
        description="For operators: what is, or was, asked to be brought from the warm address; the newest first.",
        errors=(paging.InvalidCursor, paging.InvalidLimit),
        answers={"items": [_REFILL], "next": None},
    ),
)
async def list_refills(parameters: RefillList, custody: Custody) -> web.Page[Refill]:
    found = await custody.treasury.refills(
        only_open=parameters.state == "open", cursor=parameters.cursor, limit=parameters.limit
    )
    return web.page(f"{web.PREFIX}/custody/refills", parameters, found)


@get(
    "/custody/coins/{chain:str}",
    opt=web.operation(
        summary="Count coins",
        tag=_TAG,
        scope=contracts.READ,
        also=(contracts.OPERATOR,),
        description="For operators: of a chain whose money is coins, how many of them can be sent now, how many are to "
        "be made into one, and how many are `dust`: they cost more than they bring, at what the slowest place in a "
        "block costs now, and are left.",
        errors=(errors.ChainUnknown, errors.NoCoins, errors.FeesUnknown, chain_errors.NodeUnavailable),
        answers=_COINS,
    ),
)
async def count_coins(chain: str, custody: Custody) -> Coins:
    return await custody.withdrawals.coins(chain=chain)


@post(
    "/custody/children",
    status_code=200,
    opt=web.operation(
        summary="Hurry a transaction by a child",
        tag=_TAG,
        scope=contracts.WITHDRAW,
        also=(contracts.OPERATOR,),
        description="For operators: get a transaction that pays an address of the house or of a wallet into a block, "
        "though it offers too little and can't be replaced. Another one spends what it pays, and offers enough for "
        "both; what is left comes to the hot address, and the house bears the fee, up to its `house_fee_max`. Of a "
        "chain whose money is coins. Again it is the same child; if it offers too little for `speed`, it is replaced. "
        "When it is refused, `obstacle` says why: `offers_enough`, `family_full`, `nothing_of_ours`, "
        "`coin_too_small`, `fee_above_limit` or `replaced`.",
        errors=(
            errors.ChainUnknown,
            errors.NoCoins,
            errors.TransactionNotWaiting,
            errors.TransactionNotHurried,
            errors.FeesUnknown,
            errors.AddressesUnavailable,
            chain_errors.NodeUnavailable,
        ),
        sends={"chain": "bitcoin", "chain_tx": _CHAIN_TX, "speed": "fast"},
        answers=_CHILD,
    ),
)
async def hasten(command: NewChild, custody: Custody) -> Child:
    return await custody.withdrawals.hasten(chain=command.chain, chain_tx=command.chain_tx, speed=command.speed)


handlers = [count_coins, hasten, list_hot, list_refills]
