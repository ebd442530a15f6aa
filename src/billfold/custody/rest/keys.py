"""Routes of keys that are elsewhere: what is known of them is imported by operators."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from msgspec import Meta

from billfold.chains import errors as chain_errors
from billfold.custody import Custody, contracts, errors
from billfold.custody.contracts import ChainKeys
from billfold.custody.contracts.elsewhere import IMPORT_MAX, ListedPurpose
from billfold.custody.contracts.withdrawals import ADDRESS_MAX
from billfold.identity import errors as identity_errors
from billfold.identity.contracts import Approval
from billfold.kernel import forms
from billfold.kernel.principal import Principal
from billfold.platform import web

_TAG = "Chains"
_PUBLIC_KEY_MAX = 200
_KEYS = {
    "chain": "bitcoin",
    "network": "main",
    "where": "elsewhere",
    "public_key": "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz"
    "2oz2AGutZYs",
    "fingerprint": "73c5da0a",
    "hot": "bc1qggnasd834t54yulsep6fta8lpjekv4zj6gv5rf",
    "addresses_left": None,
    "unsigned": 0,
}
#: Whoever imports addresses says where money goes, so it takes what sending money takes.
_ALSO = (contracts.OPERATOR,)
_TWO = "A person needs a factor of their own for it, and another person who approves."
_PERSON = (identity_errors.StepUpRequired, identity_errors.SecondFactorMissing, identity_errors.TooManyApprovals)

Address = Annotated[str, Meta(min_length=1, max_length=ADDRESS_MAX, pattern=forms.NO_NUL)]


class NewPublicKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What addresses are to follow from."""

    public_key: Annotated[
        str,
        Meta(
            description="Of an account: zpub or xpub (vpub, tpub on networks for tests) of m/84'/0'/0' for Bitcoin, "
            "xpub of m/44'/60'/0' for Ethereum.",
            min_length=1,
            max_length=_PUBLIC_KEY_MAX,
            pattern=forms.NO_NUL,
        ),
    ]
    fingerprint: (
        Annotated[
            str,
            Meta(
                description="Of the master key: 8 hexadecimal digits, by which hardware wallets know their own.",
                examples=["73c5da0a"],
                pattern=forms.pattern(r"^[0-9a-f]{8}$", "8 hexadecimal digits in small letters"),
            ),
        ]
        | None
    ) = None


class NewAddresses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Addresses whose keys are elsewhere."""

    purpose: Annotated[
        ListedPurpose,
        Meta(description="`deposit` addresses are given to wallets; `hot` is the one that pays withdrawals."),
    ]
    addresses: Annotated[list[Address], Meta(min_length=1, max_length=IMPORT_MAX)]


@get(
    "/chains/{chain:str}/keys",
    opt=web.operation(
        summary="Get where the keys of a chain are",
        tag=_TAG,
        scope=contracts.READ,
        also=_ALSO,
        description="For operators. `addresses_left` is null where addresses don't run out.",
        errors=(errors.ChainUnknown,),
        answers=_KEYS,
    ),
)
async def get_keys(chain: str, custody: Custody) -> ChainKeys:
    return await custody.elsewhere.keys(chain=chain)


@post(
    "/chains/{chain:str}/keys/public",
    status_code=200,
    opt=web.operation(
        summary="Import a public key",
        tag=_TAG,
        scope=contracts.WITHDRAW,
        also=_ALSO,
        description="For operators: let all addresses of a chain follow from the public key of an account whose "
        "private key is elsewhere. It is never changed afterwards; the same again is no change. " + _TWO,
        errors=(
            errors.ChainUnknown,
            errors.KeysWithSigner,
            errors.KeysImported,
            chain_errors.PublicKeyInvalid,
            *_PERSON,
        ),
        sends={"public_key": _KEYS["public_key"], "fingerprint": _KEYS["fingerprint"]},
        answers=_KEYS,
        defers=Approval,
    ),
)
async def import_public_key(
    chain: str, command: NewPublicKey, step_up: UUID | None, principal: Principal, custody: Custody
) -> ChainKeys:
    return await custody.consenting.import_public_key(
        by=principal, chain=chain, public_key=command.public_key, fingerprint=command.fingerprint, proof=step_up
    )


@post(
    "/chains/{chain:str}/keys/addresses",
    status_code=200,
    opt=web.operation(
        summary="Import addresses",
        tag=_TAG,
        scope=contracts.WITHDRAW,
        also=_ALSO,
        description="For operators: add addresses whose keys are elsewhere to the list of those that are given to "
        "wallets, in their order, or name the one that pays. All are taken or none. " + _TWO,
        errors=(
            errors.ChainUnknown,
            errors.KeysWithSigner,
            errors.KeysImported,
            errors.AddressKnown,
            chain_errors.AddressInvalid,
            *_PERSON,
        ),
        sends={"purpose": "hot", "addresses": [_KEYS["hot"]]},
        answers=_KEYS | {"public_key": None, "fingerprint": None, "addresses_left": 0},
        defers=Approval,
    ),
)
async def import_addresses(
    chain: str, command: NewAddresses, step_up: UUID | None, principal: Principal, custody: Custody
) -> ChainKeys:
    return await custody.consenting.import_addresses(
        by=principal, chain=chain, purpose=command.purpose, addresses=command.addresses, proof=step_up
    )


handlers = [get_keys, import_public_key, import_addresses]
