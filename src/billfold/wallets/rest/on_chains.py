"""Routes of money on chains: addresses, deposits, and why one is not there."""

from typing import Annotated

import msgspec
from litestar import Response, get, post
from msgspec import Meta

from billfold.custody import errors as custody_errors
from billfold.custody.contracts import PROOF_FORMAT, Deposit, DepositAddress, Explanation, HolderProof
from billfold.kernel import forms, ids
from billfold.kernel.principal import Principal
from billfold.platform import web
from billfold.wallets import Wallets, contracts, errors
from billfold.wallets.rest import answers, examples, refusals
from billfold.wallets.rest.answers import Page

_TAG = "Money on chains"
_SVG = "image/svg+xml"
_CHAIN_MAX = 40
REASON_MAX = 500
#: Ids of transactions are hashes or signatures in text; none is longer.
_TX_MAX = 200
_ADDRESS = {
    "chain": "bitcoin",
    "network": "main",
    "address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "memo": None,
    "muxed": None,
    "uri": "bitcoin:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
    "current": True,
    "created_at": examples.AT,
}
DEPOSIT = {
    "id": "019aa2c6-7a00-7000-8000-00000000f001",
    "chain": "bitcoin",
    "chain_tx": "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
    "index": "0",
    "wallet_id": examples.ADA,
    "address": _ADDRESS["address"],
    "memo": None,
    "money": {"amount": "0.01000000", "asset": "BTC"},
    "state": "detected",
    "confirmations": 1,
    "credit_after": 2,
    "release_after": 6,
    "height": 925_000,
    "sender": None,
    "waits": None,
    "detected_at": examples.AT,
    "credited_at": None,
    "releasable_at": None,
    "reverted_at": None,
    "transfer_id": None,
    "refund": None,
}
_EXPLAINED = {"verdict": "waiting", "why": "It has 1 of 2 confirmations.", "chain": "bitcoin", "deposit": DEPOSIT}
_PROOF = {
    "format": PROOF_FORMAT,
    "snapshot": "019aa2c6-7a00-7000-8000-00000000f00d",
    "at": examples.AT,
    "root": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "holder": examples.ADA,
    "assets": [
        {
            "asset": "BTC",
            "amount": "1000000",
            "salt": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
            "index": 5,
            "path": [{"hash": "fd61a03af4f77d870fc21e05e7e80678095c92d808cfb3b5c279ee04c74aca13", "sum": "23"}],
        }
    ],
}
_ISSUING = (*refusals.WALLET, custody_errors.ChainUnknown, custody_errors.AddressesUnavailable)
_SCOPE = contracts.TRANSFERS_READ

ChainName = Annotated[
    str, Meta(description="A chain's id, as `GET /chains` has it.", examples=["bitcoin"], max_length=_CHAIN_MAX)
]


class NewAddress(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which address is wanted."""

    chain: ChainName
    another: Annotated[
        bool, Meta(description="Show a new address from now on. The ones before stay good for ever.")
    ] = False


class AddressList(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of a wallet, those to show first."""

    items: list[DepositAddress]


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which transaction is meant."""

    chain_tx: Annotated[
        str,
        Meta(description="The transaction's id on its chain.", min_length=1, max_length=_TX_MAX, pattern=forms.NO_NUL),
    ]


class ProofAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Which proof of reserves is meant."""

    snapshot: Annotated[str, Meta(description="Its id; the newest if absent.", max_length=36)] | None = None


class Assignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose an unmatched deposit is."""

    wallet: contracts.WalletId
    reason: Annotated[
        str,
        Meta(
            description="How you know.",
            examples=["ticket 4711: the sender's account shows this payment"],
            min_length=1,
            max_length=REASON_MAX,
            pattern=forms.NO_NUL,
        ),
    ]


@get(
    "/wallets/{wallet_id:str}/addresses",
    opt=web.operation(
        summary="List addresses of a wallet",
        tag=_TAG,
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="Where money for the wallet goes on each chain. Older addresses stay good for ever.",
        errors=refusals.WALLET,
        answers={"items": [_ADDRESS]},
    ),
)
async def list_addresses(wallet_id: str, principal: Principal, wallets: Wallets) -> AddressList:
    found = await wallets.on_chains.addresses(principal=principal, wallet_id=ids.parse(wallet_id))
    return AddressList(items=found)


@post(
    "/wallets/{wallet_id:str}/addresses",
    status_code=200,
    opt=web.operation(
        summary="Get an address",
        tag=_TAG,
        scope=contracts.WRITE,
        everybody=contracts.OPERATOR,
        description="The address that the wallet shows on a chain; the first time one is made. Asking again answers "
        "the same, unless `another` is wanted.",
        errors=(*_ISSUING, errors.WalletClosed, custody_errors.TooManyAddresses),
        sends={"chain": "bitcoin"},
        answers=_ADDRESS,
    ),
)
async def issue(wallet_id: str, command: NewAddress, principal: Principal, wallets: Wallets) -> DepositAddress:
    return await wallets.on_chains.issue(
        principal=principal, wallet_id=ids.parse(wallet_id), chain=command.chain, another=command.another
    )


@get(
    "/wallets/{wallet_id:str}/addresses/{chain:str}/qr",
    opt=web.operation(
        summary="Draw an address",
        tag=_TAG,
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="The address that the wallet shows on a chain as a QR code, for a wallet program to read.",
        errors=(*refusals.WALLET, errors.AddressUnknown),
        media_types=(_SVG,),
    ),
)
async def draw(wallet_id: str, chain: str, principal: Principal, wallets: Wallets) -> Response[bytes]:
    drawn = await wallets.on_chains.drawn(principal=principal, wallet_id=ids.parse(wallet_id), chain=chain)
    return Response(drawn, media_type=_SVG)


@get(
    "/wallets/{wallet_id:str}/deposits",
    opt=web.operation(
        summary="List deposits on chains",
        tag=_TAG,
        scope=_SCOPE,
        everybody=contracts.EVERYBODY,
        description="What has arrived for the wallet on chains, the newest first, with its confirmations.",
        errors=(*refusals.WALLET, *refusals.PAGE),
        answers={"items": [DEPOSIT], "next": None},
    ),
)
async def list_deposits(
    wallet_id: str, parameters: answers.Part, principal: Principal, wallets: Wallets
) -> Page[Deposit]:
    found = await wallets.on_chains.deposits(
        principal=principal, wallet_id=ids.parse(wallet_id), cursor=parameters.cursor, limit=parameters.limit
    )
    return answers.page(f"/wallets/{wallet_id}/deposits", parameters, found)


@get(
    "/wallets/{wallet_id:str}/reserve-proof",
    opt=web.operation(
        summary="Get a proof of reserves for a wallet",
        tag=_TAG,
        scope=contracts.READ,
        everybody=contracts.EVERYBODY,
        description="That what is owed to the wallet was counted in a proof of reserves: keep the answer, and check it "
        "with `billfold verify-reserves` and the published file. An asset of which nothing was owed is not in it.",
        errors=(*refusals.WALLET, custody_errors.ReservesUnknown),
        answers=_PROOF,
    ),
)
async def reserve_proof(wallet_id: str, parameters: ProofAsked, principal: Principal, wallets: Wallets) -> HolderProof:
    snapshot = parameters.snapshot
    return await wallets.on_chains.reserve_proof(
        principal=principal,
        wallet_id=ids.parse(wallet_id),
        snapshot_id=None if snapshot is None else ids.parse(snapshot, pointer="/snapshot"),
    )


@get(
    "/deposits/explain",
    opt=web.operation(
        summary="Explain a transaction",
        tag=_TAG,
        scope=_SCOPE,
        everybody=contracts.EVERYBODY,
        description="Why the money of a transaction on a chain is where it is: credited, waiting for confirmations, "
        "too little, passed over and why, or not seen. You learn what concerns your own wallets.",
        answers={"chain_tx": DEPOSIT["chain_tx"], "found": [_EXPLAINED]},
    ),
)
async def explain(parameters: Asked, principal: Principal, wallets: Wallets) -> Explanation:
    return await wallets.on_chains.explain(principal=principal, chain_tx=parameters.chain_tx)


@get(
    "/deposits/unmatched",
    opt=web.operation(
        summary="List unmatched deposits",
        tag=_TAG,
        scope=_SCOPE,
        also=(contracts.OPERATOR,),
        description="For operators: what has arrived without a memo that says whose it is.",
        errors=refusals.PAGE,
        answers={"items": [DEPOSIT | {"wallet_id": None, "chain": "stellar"}], "next": None},
    ),
)
async def list_unmatched(parameters: answers.Part, principal: Principal, wallets: Wallets) -> Page[Deposit]:
    found = await wallets.on_chains.unmatched(principal=principal, cursor=parameters.cursor, limit=parameters.limit)
    return answers.page("/deposits/unmatched", parameters, found)


@get(
    "/deposits/{deposit_id:str}",
    opt=web.operation(
        summary="Get a deposit",
        tag=_TAG,
        scope=_SCOPE,
        everybody=contracts.EVERYBODY,
        errors=(ids.InvalidId, custody_errors.DepositUnknown),
        answers=DEPOSIT,
    ),
)
async def get_deposit(deposit_id: str, principal: Principal, wallets: Wallets) -> Deposit:
    return await wallets.on_chains.deposit(principal=principal, deposit_id=ids.parse(deposit_id))


@post(
    "/deposits/{deposit_id:str}/assign",
    status_code=200,
    opt=web.operation(
        summary="Assign a deposit",
        tag=_TAG,
        scope=contracts.ORDER_SCOPES["deposit"],
        also=(contracts.OPERATOR,),
        everybody=contracts.OPERATOR,
        description="For operators: give what has arrived for nobody known to the wallet that it was meant for. It "
        "stays so; the same again is no change.",
        errors=(
            *refusals.WALLET,
            errors.WalletClosed,
            custody_errors.DepositUnknown,
            custody_errors.DepositNotUnmatched,
        ),
        sends={"wallet": examples.ADA, "reason": "ticket 4711"},
        answers=DEPOSIT,
    ),
)
async def assign(deposit_id: str, command: Assignment, principal: Principal, wallets: Wallets) -> Deposit:
    return await wallets.on_chains.assign(
        principal=principal,
        deposit_id=ids.parse(deposit_id),
        wallet_id=ids.parse(command.wallet, pointer="/wallet"),
        reason=command.reason,
    )


handlers = [
    list_addresses,
    issue,
    draw,
    list_deposits,
    reserve_proof,
    explain,
    list_unmatched,
    get_deposit,
    assign,
]
