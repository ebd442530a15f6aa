"""Routes of transactions that are signed elsewhere: operators hand them out, and hand them in."""

from functools import partial
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from msgspec import Meta

from billfold.chains import errors as chain_errors
from billfold.custody import Custody, contracts, errors
from billfold.custody.contracts import Accepted, Exported, Unsigned
from billfold.custody.contracts.elsewhere import SIGNED_MAX
from billfold.identity import errors as identity_errors
from billfold.identity.contracts import Approval
from billfold.kernel import forms, ids
from billfold.kernel.principal import Principal
from billfold.platform import web

_AT = "2026-01-31T12:00:00.000000Z"
_ID = "019aa2c6-7a00-7000-8000-00000000e001"
_UNSIGNED = {
    "id": _ID,
    "chain": "bitcoin",
    "kind": "pay",
    "payments": [
        {
            "address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
            "money": {"amount": "0.01000000", "asset": "BTC"},
            "memo": None,
            "withdrawal_id": "019aa2c6-7a00-7000-8000-00000000d001",
        }
    ],
    "fee": {"amount": "0.00001763", "asset": "BTC"},
    "replaces": None,
    "created_at": _AT,
    "exported_at": None,
}
_EXPORTED = {
    "transaction": _UNSIGNED | {"exported_at": _AT},
    "network": "main",
    "form": "psbt",
    "unsigned": "cHNidP8BAHECAAAAAQ==",
    "keys": [{"address": "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu", "path": "m/84'/0'/0'/0/0"}],
    "expires_at": None,
    "last_height": None,
}
_ACCEPTED = {
    "id": _ID,
    "chain": "bitcoin",
    "chain_tx": "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
}
_WAITING = (ids.InvalidId, errors.UnsignedUnknown, errors.UnsignedGone)
_NODES = (chain_errors.NodeUnavailable, chain_errors.NodeWrong)
#: Each is an operator's, who may send money out.
_operation = partial(
    web.operation,
    tag="Chains",
    scope=contracts.WITHDRAW,
    also=(contracts.OPERATOR,),
    everybody=contracts.OPERATOR,
)


class UnsignedList(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for signatures, the oldest first; at most 100."""

    items: list[Unsigned]


class SignedElsewhere(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was signed."""

    signed: Annotated[
        str,
        Meta(
            description="Of Bitcoin a PSBT in base64 or a transaction in hexadecimal, of Ethereum a transaction in "
            "hexadecimal, of Solana a transaction in base64, of Stellar an envelope in XDR as base64.",
            min_length=1,
            max_length=SIGNED_MAX,
            pattern=forms.NO_NUL,
        ),
    ]


class Discarded(msgspec.Struct, frozen=True, kw_only=True):
    """What is given up."""

    id: str


@get(
    "/chains/{chain:str}/unsigned",
    opt=_operation(
        summary="List what waits for signatures",
        description="For operators: transactions of a chain whose keys are elsewhere. There is none elsewhere.",
        errors=(errors.ChainUnknown,),
        answers={"items": [_UNSIGNED]},
    ),
)
async def list_unsigned(chain: str, custody: Custody) -> UnsignedList:
    return UnsignedList(items=await custody.withdrawals.outside.waiting(chain=chain))


@post(
    "/unsigned/{tx_id:str}/export",
    status_code=200,
    opt=_operation(
        summary="Export a transaction to be signed",
        description="For operators. From now on somebody may have signed it, so it is not given up without proof or "
        "word. On Solana and Stellar its time begins. The same is answered again while it can happen.",
        errors=(*_WAITING, *_NODES),
        answers=_EXPORTED,
    ),
)
async def export(tx_id: str, custody: Custody) -> Exported:
    return await custody.withdrawals.outside.export(tx_id=ids.parse(tx_id))


@post(
    "/unsigned/{tx_id:str}/signed",
    status_code=200,
    opt=_operation(
        summary="Import a signed transaction",
        description="For operators: it is taken if it is exactly what was exported, with valid signatures of the keys "
        "that have to sign, and sent. The same again is no change.",
        errors=(
            *_WAITING,
            errors.SignedAlready,
            chain_errors.SignedUnreadable,
            chain_errors.SignedDiffers,
            chain_errors.SignatureMissing,
            chain_errors.SignatureWrong,
        ),
        sends={"signed": "cHNidP8BAHECAAAAAQ=="},
        answers=_ACCEPTED,
    ),
)
async def import_signed(tx_id: str, command: SignedElsewhere, custody: Custody) -> Accepted:
    return await custody.withdrawals.outside.accept(tx_id=ids.parse(tx_id), signed=command.signed)


@post(
    "/unsigned/{tx_id:str}/discard",
    status_code=200,
    opt=_operation(
        summary="Discard a transaction that is not signed",
        description="For operators. What was exported may have been signed: another takes its place that uses up the "
        "same, of which one at most can happen. Where nodes can't say whether it was sent, the operator says by this "
        "that it was not. A person needs a factor of their own for it, and another person who approves.",
        errors=(
            *_WAITING,
            *_NODES,
            errors.UnsignedOnChain,
            errors.UnsignedMayHappen,
            identity_errors.StepUpRequired,
            identity_errors.SecondFactorMissing,
            identity_errors.TooManyApprovals,
        ),
        answers={"id": _ID},
        defers=Approval,
    ),
)
async def discard(tx_id: str, step_up: UUID | None, principal: Principal, custody: Custody) -> Discarded:
    await custody.consenting.discard(by=principal, tx_id=ids.parse(tx_id), proof=step_up)
    return Discarded(id=tx_id)


handlers = [list_unsigned, export, import_signed, discard]
