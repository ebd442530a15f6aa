"""Addresses of Stellar (G… is an account, M… one with a number in it), and what would become of a payment there."""

from __future__ import annotations

from stellar_sdk import MuxedAccount, StrKey

from billfold.chains import errors
from billfold.chains.port import Destination
from billfold.chains.stellar import amounts
from billfold.chains.stellar.horizon import Horizon
from billfold.chains.stellar.records import Account

#: Longer texts are not looked into.
_TEXT_MAX = 200
#: What begins with these letters is of Stellar and no address that can be paid; the secret is not repeated.
_OTHERS = {
    "C": "This is the address of a contract, which can't be paid as an account.",
    "S": "This is a secret key and no address. Whoever has seen it can take what it holds.",
    "T": "This is the hash of a transaction and no address.",
    "X": "This is a hash and no address.",
    "P": "This is a signer and no address.",
    "L": "This is a liquidity pool and no address.",
    "B": "This is a claimable balance and no address.",
}


def canonical(text: str) -> tuple[str, str | None]:
    """The account's address, and `id:…` of one with a number in it.

    Raises:
        AddressInvalid
    """
    text = text.strip()
    if len(text) > _TEXT_MAX or not text.isascii():
        raise errors.AddressInvalid("This is no address of Stellar: it has letters that none has, or too many.")
    if StrKey.is_valid_ed25519_public_key(text):
        return text, None
    if StrKey.is_valid_med25519_public_key(text):
        muxed = MuxedAccount.from_account(text)
        return muxed.account_id, f"id:{muxed.account_muxed_id}"
    if text[:1] in _OTHERS and len(text) >= 56:  # noqa: PLR2004 - as long as any key of Stellar in text is
        raise errors.AddressInvalid(_OTHERS[text[0]])
    raise errors.AddressInvalid(
        "This is no address of Stellar: one begins with G or M, is in capitals, and has a checksum that is wrong here."
    )


async def examine(horizon: Horizon, address: str, *, memo: str | None, token: str | None, amount: int) -> Destination:
    """What would become of a payment.

    Raises:
        AddressInvalid, NodeUnavailable, NodeWrong.
    """
    target, number = canonical(address)
    memo = number or memo
    account = await horizon.account(target)
    if account is None:
        least = 2 * (await horizon.last()).reserve
        obstacle = _missing(token, amount, least)
    elif account.memo_required and memo is None:
        obstacle = "memo_required", "Whoever has this account tells deposits apart by memos and asks for one (SEP-29)."
    else:
        obstacle = _line(account, target, token, amount)
    return Destination(address=target, memo=memo, obstacle=obstacle[0], obstacle_detail=obstacle[1])


def _missing(token: str | None, amount: int, least: int) -> tuple[str | None, str]:
    if token is not None:
        return "account_missing", "There is no such account yet, so it can't have a trustline for this asset."
    if amount < least:
        return (
            "below_reserve",
            f"There is no such account yet; its first payment must be at least {amounts.display(least)} XLM.",
        )
    return None, ""


def _line(account: Account, address: str, token: str | None, amount: int) -> tuple[str | None, str]:
    if token is not None and token.partition(":")[2] == address:
        return None, ""
    line = account.lines.get(token)
    if line is None:
        return "trustline_missing", "The account has no trustline for this asset; its holder has to make one first."
    if not line.authorized:
        return "trustline_not_authorized", "The issuer does not let the account hold this asset."
    if line.balance + line.buying + amount > line.limit:
        return "trustline_full", "The account does not take so much of this asset."
    return None, ""
