"""Reads ledgers, and what successful operations in them paid to whom.

A payment has succeeded only if everything in its transaction has, and a ledger that is closed stays.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from billfold.chains import errors
from billfold.chains.nodes import reading
from billfold.chains.port import Block, Movement
from billfold.chains.stellar import memos, records, results
from billfold.chains.stellar.horizon import PAGE_MAX, Horizon

#: The network closes ledgers of about a thousand operations; one of ten times as many is none.
PAGES_MAX = 50
#: Where an operation's number has its place in the transaction (SEP-35).
_PLACE = (1 << 12) - 1
#: One call of a contract moves no more assets.
_CHANGES_MAX = 1_000
_PATHS = frozenset({"path_payment_strict_receive", "path_payment_strict_send"})


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A part of what a ledger paid."""

    movements: tuple[Movement, ...]
    #: Where the next one begins; None: this was the last.
    cursor: str | None


async def block(horizon: Horizon, height: int, *, tokens: Collection[str]) -> Block | None:
    """The ledger of a number with all that it moved, of lumens and of these tokens.

    Raises:
        NodeUnavailable, NodeWrong.
    """
    ledger = await horizon.ledger(height)
    if ledger is None:
        return None
    movements, cursor = list[Movement](), ""
    for _ in range(PAGES_MAX):
        page = await horizon.payments(height, cursor=cursor, read=lambda document: read(document, height))
        movements += [each for each in page.movements if each.token is None or each.token in tokens]
        if page.cursor is None:
            return Block(
                height=height, hash=ledger.hash, parent=ledger.parent, time=ledger.closed_at, movements=movements
            )
        cursor = page.cursor
    raise errors.NodeWrong(f"A node says that ledger {height} has more than {PAGES_MAX * PAGE_MAX} payments.")


def read(document: Any, height: int) -> Page:
    """A page of payments of a ledger, which has to be the `height` that was asked for.

    Raises:
        NodeWrong
    """
    found = records.records(document, most=PAGE_MAX)
    movements, last = list[Movement](), 0
    for each in found:
        number = reading.digits(reading.member(each, "paging_token"), "paging_token")
        if number >> 32 != height or number <= last:
            raise errors.NodeWrong("A node tells of payments of another ledger, or in another order.")
        last = number
        if records.boolean(reading.member(each, "transaction_successful"), "transaction_successful"):
            movements += _movements(each, place=(number & _PLACE) - 1)
    return Page(movements=tuple(movements), cursor=str(last) if len(found) == PAGE_MAX else None)


def _movements(document: Mapping[str, Any], *, place: int) -> list[Movement]:
    kind = reading.text(reading.member(document, "type"), "type")
    if kind == "payment" or kind in _PATHS:
        token, sender = records.token(document), records.address(reading.member(document, "from"), "from")
        found = _movement(document, place, field="to", token=token, units=_units(document, "amount"), sender=sender)
        # What one pays to oneself moves nothing, unless a path made it another asset.
        return [found] if kind in _PATHS or found.address != sender else []
    if kind == "create_account":
        sender = records.address(reading.member(document, "funder"), "funder")
        units = _units(document, "starting_balance")
        return [_movement(document, place, field="account", token=None, units=units, sender=sender)]
    if kind == "account_merge":
        sender = records.address(reading.member(document, "account"), "account")
        units = results.merged(_result(document), place)
        return [_movement(document, place, field="into", token=None, units=units, sender=sender)]
    if kind == "invoke_host_function":
        return _by_contract(document, place)
    # Whatever else may come to be a payment gives nothing that could be claimed without reading it.
    return []


def _movement(
    document: Mapping[str, Any], place: int, *, field: str, token: str | None, units: int, sender: str
) -> Movement:
    return Movement(
        chain_tx=records.digest(reading.member(document, "transaction_hash"), "transaction_hash"),
        index=str(place),
        address=records.address(reading.member(document, field), field),
        token=token,
        amount=units,
        memo=_memo(document, document.get(f"{field}_muxed_id")),
        sender=sender,
    )


def _by_contract(document: Mapping[str, Any], place: int) -> list[Movement]:
    """What a contract's call moved of classic assets to accounts."""
    changes = reading.items(document.get("asset_balance_changes") or [], "asset_balance_changes", most=_CHANGES_MAX)
    found = list[Movement]()
    for number, each in enumerate(reading.record(one, "a change") for one in changes):
        target = each.get("to")
        # Contracts (C…) hold for themselves; what is burnt or clawed back goes to nobody.
        if (
            each.get("type") not in {"transfer", "mint"}
            or not str(target).startswith("G")
            or target == each.get("from")
        ):
            continue
        found.append(
            Movement(
                chain_tx=records.digest(reading.member(document, "transaction_hash"), "transaction_hash"),
                index=f"{place}:{number}",
                address=records.address(target, "to"),
                token=records.token(each),
                amount=_units(each, "amount"),
                memo=_memo(document, each.get("destination_muxed_id")),
            )
        )
    return found


def _memo(document: Mapping[str, Any], muxed: Any) -> str | None:
    """The id in the address, which says more of this payment than the transaction's memo, or that memo."""
    if muxed is not None:
        return f"id:{reading.digits(muxed, 'muxed_id', most=memos.ID_MAX)}"
    return memos.told(reading.record(reading.member(document, "transaction"), "transaction"))


def _result(document: Mapping[str, Any]) -> str:
    transaction = reading.member(document, "transaction")
    return reading.text(reading.member(transaction, "result_xdr"), "result_xdr", longest=results.RESULT_MAX)


def _units(document: Mapping[str, Any], field: str) -> int:
    return records.amount(reading.member(document, field), field)
