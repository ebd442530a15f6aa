"""What the chain of the tests agrees on: what may wait, what a block takes, and what is whose then.

The state is JSON: blocks with their transactions and the money that came out of nothing, and what waits for a block.
Nothing here knows a node or a file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from billfold.chains.errors import Refused
from billfold.chains.port import Model, Movement, Signed


def accept(model: Model, state: dict[str, Any], signed: Signed) -> None:
    """Let it wait, in the place of those that use up the same and offer less.

    Raises:
        Refused: it is dead, not covered, or offers no more than another.
    """
    tx = json.loads(signed.raw)
    if signed.chain_tx in state["waiting"] or any(
        key == signed.chain_tx for one in state["blocks"] for key, _ in one["txs"]
    ):
        return
    if is_dead(model, state, tx):
        raise Refused
    if model != "coins":
        held = balances(state)
        out: dict[tuple[str, str], int] = {(fee_payer(tx), ""): tx["fee"]}
        for pay in tx["pays"]:
            key = (payer(tx), pay["token"])
            out[key] = out.get(key, 0) + pay["amount"]
        if any(held.get(key, 0) < units for key, units in out.items()):
            raise Refused
    rivals = [key for key, other in state["waiting"].items() if uses(model, other) & uses(model, tx)]
    if any(state["waiting"][key]["offer"] >= tx["offer"] for key in rivals):
        raise Refused
    for key in rivals:
        del state["waiting"][key]
    state["waiting"][signed.chain_tx] = tx


def mine(model: Model, state: dict[str, Any]) -> None:
    """Add a block with all that waits and is next."""
    block: dict[str, Any] = {"txs": [], "minted": [], "fork": state["fork"]}
    state["blocks"].append(block)
    for key, tx in sorted(state["waiting"].items(), key=lambda one: (one[1]["nonce"] or 0, one[0])):
        if model == "nonce" and tx["nonce"] > nonce(state, tx["source"]):
            continue
        del state["waiting"][key]
        if not is_dead(model, state, tx):
            block["txs"].append([key, tx])


def uses(model: Model, tx: dict[str, Any]) -> set[Any]:
    """What only one transaction can use up."""
    if model == "coins":
        return {(chain_tx, index) for chain_tx, index, _ in tx["coins"]}
    return {(tx["source"], tx["nonce"])} if model == "nonce" else set()


def is_dead(model: Model, state: dict[str, Any], tx: dict[str, Any]) -> bool:
    """Whether no block can have it any more."""
    if model == "coins":
        return not uses(model, tx).isdisjoint(coins(state)[1])
    if model == "nonce":
        return bool(tx["nonce"] < nonce(state, tx["source"]))
    return bool(len(state["blocks"]) > tx["last_height"])


def nonce(state: dict[str, Any], source: str, *, behind: int = 0) -> int:
    """The next number of a source, as a node says that is so many blocks behind."""
    blocks = state["blocks"][: len(state["blocks"]) - behind]
    return sum(tx["source"] == source for block in blocks for _, tx in block["txs"])


def payer(tx: dict[str, Any]) -> str:
    """Who pays: of Stellar the hot account, whoever gives the transaction its number."""
    return "sim-hot" if tx["source"].startswith("sim-channel") else str(tx["source"])


def fee_payer(tx: dict[str, Any]) -> str:
    """Of Solana whoever is named for it."""
    return str(tx["change"] or tx["source"]) if tx["anchor"] else payer(tx)


def coins(state: dict[str, Any]) -> tuple[dict[tuple[str, str], tuple[str, int, int]], dict[tuple[str, str], int]]:
    """All coins that blocks made, with address, amount and height; and the height at which each was used up."""
    made: dict[tuple[str, str], tuple[str, int, int]] = {}
    spent: dict[tuple[str, str], int] = {}
    for height, block in enumerate(state["blocks"], 1):
        for number, (address, amount, _) in enumerate(block["minted"]):
            made[f"mint-{height}", str(number)] = (address, amount, height)
        for key, tx in block["txs"]:
            for number, pay in enumerate(tx["pays"]):
                made[key, str(number)] = (pay["address"], pay["amount"], height)
            paid = sum(pay["amount"] for pay in tx["pays"]) + tx["fee"]
            change = sum(amount for _, _, amount in tx["coins"]) - paid
            if tx["coins"] and change:
                made[key, "change"] = (tx["change"], change, height)
            spent |= {(chain_tx, index): height for chain_tx, index, _ in tx["coins"]}
    return made, spent


def movements(block: dict[str, Any], height: int) -> Iterator[Movement]:
    """What a block moved; of what somebody else took, less than nothing."""
    for number, (address, amount, token) in enumerate(block["minted"]):
        yield Movement(
            chain_tx=f"mint-{height}", index=str(number), address=address, token=token or None, amount=amount
        )
    for key, tx in block["txs"]:
        pays = [] if tx["fails"] else tx["pays"]
        for number, pay in enumerate(pays):
            yield Movement(
                chain_tx=key,
                index=str(number),
                address=pay["address"],
                token=pay["token"] or None,
                amount=pay["amount"],
            )
        change = sum(amount for _, _, amount in tx["coins"]) - sum(pay["amount"] for pay in pays) - tx["fee"]
        if tx["coins"] and change:
            yield Movement(chain_tx=key, index="change", address=tx["change"], token=None, amount=change)


def balances(state: dict[str, Any]) -> dict[tuple[str, str], int]:
    """What every address holds, by token."""
    found: dict[tuple[str, str], int] = {}

    def add(address: str, token: str, units: int) -> None:
        found[address, token] = found.get((address, token), 0) + units

    if any(tx["coins"] for block in state["blocks"] for _, tx in block["txs"]):
        made, spent = coins(state)
        for coin, (address, amount, _) in made.items():
            if coin not in spent:
                add(address, "", amount)
        return found
    for block in state["blocks"]:
        for address, amount, token in block["minted"]:
            add(address, token, amount)
        for _, tx in block["txs"]:
            add(fee_payer(tx), "", -tx["fee"])
            for pay in () if tx["fails"] else tx["pays"]:
                add(payer(tx), pay["token"], -pay["amount"])
                add(pay["address"], pay["token"], pay["amount"])
    return found
