"""What sending money out costs, before anybody confirms it."""

from typing import Annotated

import msgspec
from litestar import get
from msgspec import Meta

from billfold.chains import errors as chain_errors
from billfold.custody import Custody, contracts, errors
from billfold.custody.contracts.withdrawals import ADDRESS_MAX, MEMO_MAX, Prices
from billfold.kernel import forms, money
from billfold.ledger import errors as ledger_errors
from billfold.platform import web

_OFFER = {
    "speed": "normal",
    "network_fee": "0.00001763",
    "service_fee": "0.00000000",
    "arrives": "0.01000000",
    "takes": "0.01001763",
    "house_fee": "0.00000000",
}


class FeesAsked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent where."""

    amount: Annotated[str, Meta(description="What is to arrive.", examples=["0.01"], max_length=money.TEXT_MAX)]
    to: Annotated[str, Meta(description="The address.", min_length=1, max_length=ADDRESS_MAX, pattern=forms.NO_NUL)]
    asset: (
        Annotated[
            str, Meta(description="Its code; the chain's own coin if absent.", max_length=20, pattern=forms.NO_NUL)
        ]
        | None
    ) = None
    memo: Annotated[str, Meta(description="Of Stellar.", max_length=MEMO_MAX, pattern=forms.NO_NUL)] | None = None


@get(
    "/chains/{chain:str}/fees",
    opt=web.operation(
        summary="Ask what a withdrawal costs",
        tag="Chains",
        scope=contracts.READ,
        description="For three speeds: what the network takes at most, what the house takes, what arrives, and what "
        "leaves the wallet at most. The network fee of a token is the house's. `stale` says that the chain has not "
        "said anything newer for `age_s`. What speaks against the address is told here, too.",
        errors=(
            errors.ChainUnknown,
            errors.AssetNotOnChain,
            errors.AddressIsOurs,
            errors.DestinationRefused,
            errors.AmountBelowMinimum,
            errors.FeesUnknown,
            errors.AddressesUnavailable,
            ledger_errors.AssetUnknown,
            ledger_errors.AmountNotPositive,
            money.InvalidAmount,
            money.AmountTooPrecise,
            money.AmountTooLarge,
            chain_errors.AddressInvalid,
            chain_errors.NodeWrong,
        ),
        answers={
            "chain": "bitcoin",
            "asset": "BTC",
            "coin": "BTC",
            "to": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "memo": None,
            "offers": [_OFFER],
            "age_s": 3.2,
            "stale": False,
        },
    ),
)
async def prices(chain: str, parameters: FeesAsked, custody: Custody) -> Prices:
    return await custody.withdrawals.prices(
        chain=chain, amount=parameters.amount, to=parameters.to, asset=parameters.asset, memo=parameters.memo
    )


handlers = [prices]
