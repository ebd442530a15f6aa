"""What is told over a WebSocket as it happens: a signature that has got as far as was asked for, and each new slot."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import msgspec

from billfold.devnet.solana import calls
from billfold.devnet.solana.calls import CallFailed, Config, Params
from billfold.devnet.solana.chain import Chain
from billfold.devnet.solana.rpc import Dispatcher
from billfold.devnet.solana.transactions import Transactions

#: Of one connection.
SUBSCRIPTIONS_MAX = 1_000


class Bell:
    """Rung whenever there are other blocks than before; everybody who waits for it wakes."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def rung(self) -> None:
        await self._event.wait()


class Connection:
    """What one WebSocket has subscribed to."""

    def __init__(self, chain: Chain, transactions: Transactions, *, numbers: itertools.count[int]) -> None:
        self._chain = chain
        self._transactions = transactions
        self._numbers = numbers
        self._signatures: dict[int, tuple[str, Config]] = {}
        self._slots: set[int] = set()
        self._told_slot = chain.head("processed").slot
        self._dispatcher = Dispatcher(
            {
                "signatureSubscribe": self.signature,
                "signatureUnsubscribe": self.drop,
                "slotSubscribe": self.slot,
                "slotUnsubscribe": self.drop,
            }
        )

    def answer(self, body: bytes) -> bytes:
        return self._dispatcher.answer(body)

    def signature(self, params: Params) -> int:
        return self._taken(signature=(calls.signature(params.of(0, str)), params.config(1)))

    def slot(self, _: Params) -> int:
        return self._taken(signature=None)

    def drop(self, params: Params) -> bool:
        number = params.of(0, int)
        known = number in self._slots or number in self._signatures
        self._slots.discard(number)
        self._signatures.pop(number, None)
        return known

    def news(self) -> list[bytes]:
        """All that there is to tell since the last time."""
        told: list[bytes] = []
        head = self._chain.head("processed")
        if head.slot != self._told_slot:
            self._told_slot = head.slot
            root = self._chain.head("finalized").slot
            value = {"parent": head.parent_slot, "root": root, "slot": head.slot}
            told += [_notification("slotNotification", number, value) for number in sorted(self._slots)]
        for number, (signature, config) in list(self._signatures.items()):
            found = self._transactions.status(signature, Config())
            if found is None or (config.at == "finalized" and found["confirmationStatus"] != "finalized"):
                continue
            # A signature is told of once, and its subscription has ended.
            del self._signatures[number]
            result = {"context": {"slot": head.slot}, "value": {"err": found["err"]}}
            told.append(_notification("signatureNotification", number, result))
        return told

    def _taken(self, *, signature: tuple[str, Config] | None) -> int:
        if len(self._signatures) + len(self._slots) >= SUBSCRIPTIONS_MAX:
            raise CallFailed(calls.INVALID_REQUEST, f"Too many subscriptions; max {SUBSCRIPTIONS_MAX}")
        number = next(self._numbers)
        if signature is None:
            self._slots.add(number)
        else:
            self._signatures[number] = signature
        return number


def _notification(method: str, number: int, result: Any) -> bytes:
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "method": method, "params": {"result": result, "subscription": number}}
    )
