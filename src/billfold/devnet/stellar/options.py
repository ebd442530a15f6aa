"""Operations that change what an account is: options, data, sequence, trustlines and their authorisation."""

from __future__ import annotations

from stellar_sdk import (
    BumpSequence,
    ChangeTrust,
    LiquidityPoolAsset,
    ManageData,
    Operation,
    SetOptions,
    SetTrustLineFlags,
)
from stellar_sdk import xdr as stellar_xdr

from billfold.devnet.stellar import balances
from billfold.devnet.stellar.balances import NotDone
from billfold.devnet.stellar.state import INT64_MAX, Account, Line, State

#: Of the protocol.
_WEIGHT_MAX = 255
_SIGNERS_MAX = 20
_FLAGS_KNOWN = 0b1111
_DATA_MAX = 64


def set_options(account: Account, operation: SetOptions) -> None:
    """Flags, weights, thresholds, a signer, the home domain.

    Raises:
        NotDone.
    """
    cleared, added = int(operation.clear_flags or 0), int(operation.set_flags or 0)
    if cleared & added:
        raise NotDone("BAD_FLAGS")
    if (cleared | added) & ~_FLAGS_KNOWN:
        raise NotDone("UNKNOWN_FLAG")
    if account.flags & balances.AUTH_IMMUTABLE and cleared | added:
        raise NotDone("CANT_CHANGE")
    weights = (operation.master_weight, operation.low_threshold, operation.med_threshold, operation.high_threshold)
    if any(weight is not None and weight > _WEIGHT_MAX for weight in weights):
        raise NotDone("THRESHOLD_OUT_OF_RANGE")
    account.flags = (account.flags & ~cleared) | added
    master, low, medium, high = weights
    account.master_weight = account.master_weight if master is None else master
    account.low = account.low if low is None else low
    account.medium = account.medium if medium is None else medium
    account.high = account.high if high is None else high
    account.home_domain = account.home_domain if operation.home_domain is None else operation.home_domain
    if operation.signer is not None:
        _signer(account, operation.signer.signer_key.encoded_signer_key, operation.signer.weight)


def _signer(account: Account, key: str, weight: int) -> None:
    if key == account.id or weight > _WEIGHT_MAX:
        raise NotDone("BAD_SIGNER")
    if not weight:
        if account.signers.pop(key, None) is None:
            raise NotDone("BAD_SIGNER")
        return
    if key not in account.signers:
        if len(account.signers) == _SIGNERS_MAX:
            raise NotDone("TOO_MANY_SIGNERS")
        _afford(account)
    account.signers[key] = weight


def manage_data(account: Account, operation: ManageData) -> None:
    """A name with a value that the account keeps for all to read.

    Raises:
        NotDone.
    """
    name = operation.data_name
    if not name or len(name) > _DATA_MAX:
        raise NotDone("INVALID_NAME")
    if operation.data_value is None:
        if account.data.pop(name, None) is None:
            raise NotDone("NAME_NOT_FOUND")
        return
    if name not in account.data:
        _afford(account)
    account.data[name] = operation.data_value


def bump_sequence(account: Account, operation: BumpSequence) -> None:
    """Let the sequence leap forward; back it never goes.

    Raises:
        NotDone.
    """
    if not 0 <= operation.bump_to <= INT64_MAX:
        raise NotDone("BAD_SEQ")
    account.sequence = max(account.sequence, operation.bump_to)


def change_trust(state: State, account: Account, operation: ChangeTrust) -> None:
    """Make, change or give up a trustline.

    Raises:
        NotDone.
    """
    limit = Operation.to_xdr_amount(operation.limit)
    if isinstance(operation.asset, LiquidityPoolAsset) or operation.asset.is_native() or limit < 0:
        raise NotDone("MALFORMED")
    text = balances.key(operation.asset)
    issuer = state.account(balances.issuer(text))
    if balances.issuer(text) == account.id:
        raise NotDone("SELF_NOT_ALLOWED")
    line = account.lines.get(text)
    if line is not None and limit < line.balance + balances.bought(state, account, text):
        raise NotDone("INVALID_LIMIT")
    if not limit:
        _give_up(state, account, text)
        return
    if issuer is None:
        raise NotDone("NO_ISSUER")
    if line is None:
        _afford(account)
        authorized = not issuer.flags & balances.AUTH_REQUIRED
        account.lines[text] = Line(limit=limit, authorized=authorized)
    else:
        line.limit = limit


def _give_up(state: State, account: Account, text: str) -> None:
    if text not in account.lines:
        raise NotDone("INVALID_LIMIT")
    if balances.sold(state, account, text):
        raise NotDone("CANNOT_DELETE")
    del account.lines[text]


def set_trust_line_flags(state: State, account: Account, operation: SetTrustLineFlags) -> None:
    """What an issuer allows somebody's trustline.

    Raises:
        NotDone.
    """
    text = balances.key(operation.asset)
    if balances.issuer(text) != account.id or operation.trustor == account.id:
        raise NotDone("MALFORMED")
    wanted = stellar_xdr.TrustLineFlags.AUTHORIZED_FLAG
    added, cleared = int(operation.set_flags or 0) & wanted, int(operation.clear_flags or 0) & wanted
    if cleared and not account.flags & balances.AUTH_REVOCABLE:
        raise NotDone("CANT_REVOKE")
    trustor = state.account(operation.trustor)
    line = trustor and trustor.lines.get(text)
    if not line:
        raise NotDone("NO_TRUST_LINE")
    if trustor is not None and cleared:
        # Whoever may not hold it may not offer it either.
        for offer in state.offers_of(trustor.id):
            if text in {offer.selling, offer.buying}:
                state.withdraw(offer)
    line.authorized = bool(added) or (line.authorized and not cleared)


def _afford(account: Account) -> None:
    if account.balance < account.reserve(more=1):
        raise NotDone("LOW_RESERVE")
