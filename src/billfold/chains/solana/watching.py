"""Movements from what a block says of the balances before and after each transaction.

That is what really took effect: it does not matter which program moved the money, or what a token kept for itself. A
failed transaction has moved nothing. Tokens count for the owner of the account that holds them, by mint.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from billfold.chains.errors import NodeWrong
from billfold.chains.nodes import reading
from billfold.chains.port import Block, Movement
from billfold.chains.solana import node as nodes

#: More than any block has had.
_TRANSACTIONS_MAX = 100_000
#: An index of an account is one byte.
_ACCOUNTS_MAX = 256


def reader(slot: int, tokens: Collection[str]) -> Callable[[Any], Block]:
    """Reads an answer of `getBlock` for a slot; of tokens only these mints count."""

    def read(answer: Any) -> Block:
        header = nodes.header(answer, slot)
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
    chain_tx = nodes.text(signatures[0], "signature")
    names = [nodes.text(reading.member(each, "pubkey"), "account") for each in keys]
    return [*_lamports(chain_tx, names, meta), *_tokens(chain_tx, len(names), meta, tokens)]


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


def _tokens(chain_tx: str, count: int, meta: Any, tokens: Collection[str]) -> Sequence[Movement]:
    """By owner, not by account: an account may have gone to another owner with all that is in it."""
    before, after = (_held(meta.get(side), count, tokens) for side in ("preTokenBalances", "postTokenBalances"))
    gains = {key: amount - before.get(key, (0, 0))[1] for key, (_, amount) in after.items()}
    gains |= {key: -amount for key, (_, amount) in before.items() if key not in after}
    return [
        Movement(
            chain_tx=chain_tx,
            index=f"token:{after[key][0]}",
            address=key[0],
            token=key[1],
            amount=gain,
            sender=_loser(gains, key[1]),
        )
        for key, gain in gains.items()
        if gain > 0
    ]


def _loser(gains: Mapping[tuple[str, str], int], mint: str) -> str | None:
    losses = {owner: gain for (owner, token), gain in gains.items() if token == mint and gain < 0}
    return min(losses, key=losses.__getitem__) if losses else None


def _balances(given: Any, count: int) -> Sequence[int]:
    found = [
        reading.whole(each, "balance", most=nodes.LAMPORTS_MAX) for each in reading.items(given, "balances", most=count)
    ]
    if len(found) != count:
        raise NodeWrong("A node gives no balance for some account of a transaction.")
    return found


def _held(given: Any, count: int, tokens: Collection[str]) -> Mapping[tuple[str, str], tuple[int, int]]:
    """For each owner and mint: the first account that holds it, by its place, and how much all of them hold."""
    found: dict[tuple[str, str], tuple[int, int]] = {}
    for each in reading.items(given if given is not None else [], "token balances", most=_ACCOUNTS_MAX):
        mint = nodes.text(reading.member(each, "mint"), "mint")
        if mint not in tokens:
            continue
        place = reading.whole(reading.member(each, "accountIndex"), "account index", most=count - 1)
        key = nodes.text(reading.member(each, "owner"), "owner"), mint
        amount = reading.digits(
            reading.member(reading.member(each, "uiTokenAmount"), "amount"), "token amount", most=nodes.LAMPORTS_MAX
        )
        first, sum_of = found.get(key, (place, 0))
        found[key] = min(first, place), sum_of + amount
    return found
