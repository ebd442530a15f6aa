"""How amounts leave and reach accounts: what is available, what a trustline allows, and who may make an asset."""

from __future__ import annotations

from stellar_sdk import Asset

from billfold.devnet.stellar.state import INT64_MAX, NATIVE, Account, Line, State

#: The issuer must authorise each trustline; may take that back; neither can be changed.
AUTH_REQUIRED, AUTH_REVOCABLE, AUTH_IMMUTABLE = 1, 2, 4


class NotDone(Exception):
    """The operation fails; the word is the end of its result code's name in the protocol."""

    def __init__(self, word: str, *, asset: str | None = None) -> None:
        super().__init__(word)
        self.word = word
        self.asset = asset


def key(asset: Asset) -> str:
    """The asset as text: `native`, or CODE:ISSUER."""
    return NATIVE if asset.is_native() else f"{asset.code}:{asset.issuer}"


def asset(text: str) -> Asset:
    """The asset of a text."""
    if text == NATIVE:
        return Asset.native()
    code, _, issuer = text.partition(":")
    return Asset(code, issuer)


def issuer(text: str) -> str:
    """Who issues it; nobody the native one."""
    return text.partition(":")[2]


def sold(state: State, account: Account, text: str) -> int:
    """What is bound by offers to sell it."""
    return sum(offer.amount for offer in state.offers_of(account.id) if offer.selling == text)


def bought(state: State, account: Account, text: str) -> int:
    """What offers to buy it could bring."""
    return sum(-(-offer.amount * offer.n // offer.d) for offer in state.offers_of(account.id) if offer.buying == text)


def available(state: State, account: Account, text: str) -> int:
    """What may leave the account."""
    if text == NATIVE:
        return account.balance - account.reserve() - sold(state, account, text)
    if issuer(text) == account.id:
        return INT64_MAX
    line = account.lines.get(text)
    return line.balance - sold(state, account, text) if line is not None else 0


def room(state: State, account: Account, text: str) -> int:
    """What may still reach the account."""
    if issuer(text) == account.id:
        return INT64_MAX
    if text == NATIVE:
        return INT64_MAX - account.balance - bought(state, account, text)
    line = account.lines.get(text)
    return line.limit - line.balance - bought(state, account, text) if line is not None else 0


def take(state: State, account: Account, text: str, amount: int) -> None:
    """Let an amount leave.

    Raises:
        NotDone: SRC_NO_TRUST, SRC_NOT_AUTHORIZED, UNDERFUNDED.
    """
    if issuer(text) == account.id:
        return
    if text == NATIVE:
        if available(state, account, text) < amount:
            raise NotDone("UNDERFUNDED")
        account.balance -= amount
        return
    line = _line(account, text, "SRC_NO_TRUST", "SRC_NOT_AUTHORIZED")
    if available(state, account, text) < amount:
        raise NotDone("UNDERFUNDED")
    line.balance -= amount


def give(state: State, account: Account, text: str, amount: int) -> None:
    """Let an amount arrive.

    Raises:
        NotDone: NO_TRUST, NOT_AUTHORIZED, LINE_FULL.
    """
    if issuer(text) == account.id:
        return
    if text == NATIVE:
        if room(state, account, text) < amount:
            raise NotDone("LINE_FULL")
        account.balance += amount
        return
    line = _line(account, text, "NO_TRUST", "NOT_AUTHORIZED")
    if room(state, account, text) < amount:
        raise NotDone("LINE_FULL")
    line.balance += amount


def _line(account: Account, text: str, missing: str, barred: str) -> Line:
    line = account.lines.get(text)
    if line is None:
        raise NotDone(missing)
    if not line.authorized:
        raise NotDone(barred)
    return line
