"""Movements from what a block says of the balances before and after each transaction.

That is what really took effect: it does not matter which program moved the money, or what a token kept for itself. A
failed transaction has moved nothing. Tokens count for the owner of the account that holds them, by mint. Only those in
the owner's associated account are a deposit: anybody may make others for anybody, and no sweep takes from these.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from billfold.chains.errors import NodeWrong
from billfold.chains.nodes import reading
from billfold.chains.port import Block, Movement
from billfold.chains.solana import orders, records

#: More than any block has had.
_TRANSACTIONS_MAX = 100_000
#: An index of an account is one byte.
_ACCOUNTS_MAX = 256
#: Where an owner has a token is reckoned in a tenth of a millisecond; a block has thousands, and each node tells it.
_ASSOCIATED_KEPT = 16_384
#: Of what came to another account of an owner.
_ELSEWHERE = "not_the_associated_account"


class _Holding(NamedTuple):
    """What one account has of a token."""

    owner: str
    mint: str
    amount: int


def reader(slot: int, tokens: Collection[str]) -> Callable[[Any], Block]:
    """Reads an answer of `getBlock` for a slot; of tokens only these mints count."""

    def read(answer: Any) -> Block:
        header = records.header(answer, slot)
        transactions = reading.items(reading.member(answer, "transactions"), "transactions", most=_TRANSACTIONS_MAX)
        return Block(
            height=slot,
            hash=header.hash,
            parent=header.parent,
            time=header.time,
            movements=tuple(one for each in transactions for one in _movements(each, tokens)),
        )

    return read


def _movements(given: Any, tokens: Collection[str]) -> Sequence[Movement]:
    meta = reading.member(given, "meta")
    if reading.member(meta, "err") is not None:
        return ()
    inside = reading.member(given, "transaction")
    signatures = reading.items(reading.member(inside, "signatures"), "signatures", most=_ACCOUNTS_MAX)
    keys = reading.items(reading.member(inside, "accountKeys"), "accounts", most=_ACCOUNTS_MAX)
    if not signatures or not keys:
        raise NodeWrong("A node gives a transaction without signatures or accounts.")
    chain_tx = records.text(signatures[0], "signature")
    names = [records.text(reading.member(each, "pubkey"), "account") for each in keys]
    return [*_lamports(chain_tx, names, meta), *_tokens(chain_tx, names, meta, tokens)]


def _lamports(chain_tx: str, names: Sequence[str], meta: Any) -> Sequence[Movement]:
    before, after = (_balances(reading.member(meta, side), len(names)) for side in ("preBalances", "postBalances"))
    gains = [new - old for old, new in zip(before, after, strict=True)]
    # Of several who lost something, it is the one who lost most. It is shown, and decides nothing.
    sender = names[gains.index(min(gains))]
    return [
        Movement(chain_tx=chain_tx, index=f"native:{index}", address=name, token=None, amount=gain, sender=sender)
        for index, (name, gain) in enumerate(zip(names, gains, strict=True))
        if gain > 0
    ]


def _tokens(chain_tx: str, names: Sequence[str], meta: Any, tokens: Collection[str]) -> Sequence[Movement]:
    """By account and owner: an account may have gone to another owner with all that is in it."""
    before, after = (_held(meta.get(side), len(names), tokens) for side in ("preTokenBalances", "postTokenBalances"))
    gains = _gains(before, after)
    losses = _gains(after, before)
    return [
        Movement(
            chain_tx=chain_tx,
            index=f"token:{place}",
            address=owner,
            token=mint,
            amount=gain,
            sender=_loser(losses.values(), mint),
            ignored=None if names[place] == _associated(owner, mint) else _ELSEWHERE,
        )
        for place, (owner, mint, gain) in gains.items()
    ]


def _gains(before: Mapping[int, _Holding], after: Mapping[int, _Holding]) -> Mapping[int, _Holding]:
    """What each account has more for its owner than before."""
    found: dict[int, _Holding] = {}
    for place, there in after.items():
        was = before.get(place)
        known = was.amount if was is not None and was[:2] == there[:2] else 0
        if there.amount > known:
            found[place] = there._replace(amount=there.amount - known)
    return found


def _loser(losses: Iterable[_Holding], mint: str) -> str | None:
    most = max((one for one in losses if one.mint == mint), key=lambda one: one.amount, default=None)
    return None if most is None else most.owner


@lru_cache(maxsize=_ASSOCIATED_KEPT)
def _associated(owner: str, mint: str) -> str:
    try:
        return str(orders.token_account(owner, mint))
    except ValueError:
        raise NodeWrong("A node gives an owner or a mint that is no address.") from None


def _balances(given: Any, count: int) -> Sequence[int]:
    found = [
        reading.whole(each, "balance", most=records.LAMPORTS_MAX)
        for each in reading.items(given, "balances", most=count)
    ]
    if len(found) != count:
        raise NodeWrong("A node gives no balance for some account of a transaction.")
    return found


def _held(given: Any, count: int, tokens: Collection[str]) -> Mapping[int, _Holding]:
    """What each account holds of these tokens, by its place."""
    found: dict[int, _Holding] = {}
    for each in reading.items(given if given is not None else [], "token balances", most=_ACCOUNTS_MAX):
        mint = records.text(reading.member(each, "mint"), "mint")
        if mint not in tokens:
            continue
        place = reading.whole(reading.member(each, "accountIndex"), "account index", most=count - 1)
        if place in found:
            raise NodeWrong("A node gives two balances of one token account.")
        owner = records.text(reading.member(each, "owner"), "owner")
        amount = reading.digits(
            reading.member(reading.member(each, "uiTokenAmount"), "amount"), "token amount", most=records.LAMPORTS_MAX
        )
        found[place] = _Holding(owner, mint, amount)
    return found
