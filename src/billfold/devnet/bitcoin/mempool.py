"""Transactions that wait for a block: taken, replaced, and put in the order in which a block gets them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from billfold.chains.bitcoin.transactions import Output, Transaction
from billfold.devnet.bitcoin import consensus, rules
from billfold.devnet.bitcoin.rules import Rejected
from billfold.devnet.bitcoin.view import Coin, Outpoint, View

#: Waiting ancestors or descendants of one transaction, itself counted, as Bitcoin Core has it.
FAMILY_MAX = 25
#: Transactions that one may replace, their descendants counted (BIP-125, rule 5).
REPLACED_MAX = 100
#: A node that forgets the cheapest of many has to decide; here whoever comes last is refused.
WAITING_MAX = 50_000
#: Below it an input says that it may be replaced (BIP-125).
_REPLACEABLE = 0xFFFFFFFE


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction that waits."""

    transaction: Transaction
    fee: int
    #: Whole seconds since 1970, and the height at which it came.
    time: int
    height: int
    parents: frozenset[str]

    @property
    def replaceable(self) -> bool:
        """Whether it says of itself that it may be replaced."""
        return any(each.sequence < _REPLACEABLE for each in self.transaction.inputs)


class Mempool:
    """What waits. It is always such that one block could have all of it, were there room."""

    def __init__(self, view: View, now: Callable[[], int]) -> None:
        self._view = view
        self._now = now
        self.waiting: dict[str, Waiting] = {}
        self.spenders: dict[Outpoint, str] = {}
        #: By their wtxid: what is right by consensus once is always.
        self._verified: set[str] = set()

    def check(self, transaction: Transaction) -> tuple[Waiting, set[str]]:
        """What it would be here, and whom it would replace.

        Raises: Rejected.
        """
        rules.check_form(transaction)
        rules.check_standard(transaction)
        if transaction.txid in self.waiting:
            raise Rejected("txn-already-in-mempool")
        if transaction.txid in self._view.places:
            raise Rejected("txn-already-known")
        spent = [self._spent(each.coin) for each in transaction.inputs]
        rules.check_time(transaction, spent, self._view)
        fee = sum(coin.value for coin in spent) - sum(output.value for output in transaction.outputs)
        if fee < 0:
            raise Rejected("bad-txns-in-belowout")
        least = rules.fee_for(rules.RELAY_FEE, transaction.vsize)
        if fee < least:
            raise Rejected("min relay fee not met", f"{fee} < {least}")
        entry = Waiting(
            transaction=transaction,
            fee=fee,
            time=self._now(),
            height=self._view.height,
            parents=frozenset(each.txid for each in transaction.inputs if each.txid in self.waiting),
        )
        replaced = self._replaced(entry)
        self._check_family(entry, replaced)
        self._check_scripts(transaction, spent)
        return entry, replaced

    def add(self, entry: Waiting, replaced: Iterable[str]) -> None:
        """Let it wait."""
        for txid in replaced:
            self._remove(txid)
        self.waiting[entry.transaction.txid] = entry
        self.spenders.update({each.coin: entry.transaction.txid for each in entry.transaction.inputs})

    def mined(self, transactions: Sequence[Transaction]) -> None:
        """A block has these on top of what it was before; whoever spends the same as they waits in vain."""
        for transaction in transactions:
            self._remove(transaction.txid)
            for each in transaction.inputs:
                rival = self.spenders.get(each.coin)
                if rival is not None:
                    for txid in self.descendants(rival):
                        self._remove(txid)
        parents = {transaction.txid for transaction in transactions}
        for txid, entry in self.waiting.items():
            if entry.parents & parents:
                self.waiting[txid] = msgspec.structs.replace(entry, parents=entry.parents - parents)

    def forget(self, txids: Iterable[str]) -> None:
        """They wait no more, nor does what builds on them."""
        for txid in list(txids):
            if txid in self.waiting:
                for each in self.descendants(txid):
                    self._remove(each)

    def rebuild(self, returned: Sequence[Transaction], *, without: Iterable[str] = ()) -> None:
        """The chain is another one: look again at all that waits, and at what was in blocks that it has no more."""
        unwanted = set(without)
        candidates = [*returned, *(self.waiting[txid].transaction for txid in self.in_order())]
        self.waiting.clear()
        self.spenders.clear()
        for transaction in candidates:
            if transaction.txid not in unwanted:
                try:
                    self.add(*self.check(transaction))
                except Rejected:
                    continue

    def output(self, outpoint: Outpoint) -> Coin | None:
        """An output that no block has spent, or that waits itself."""
        found = self._view.coins.get(outpoint)
        if found is not None:
            return found
        txid, vout = outpoint
        entry = self.waiting.get(txid)
        if entry is None or vout >= len(entry.transaction.outputs):
            return None
        made = entry.transaction.outputs[vout]
        return Coin(made.value, made.script, self._view.height + 1, coinbase=False)

    def ancestors(self, txids: Iterable[str]) -> set[str]:
        """Those and all waiting ones that they build on."""
        return _closure(txids, lambda txid: self.waiting[txid].parents)

    def descendants(self, txid: str) -> set[str]:
        """That one and all waiting ones that build on it."""
        return _closure([txid], self.children)

    def children(self, txid: str) -> set[str]:
        """Those that spend what it makes."""
        outputs = range(len(self.waiting[txid].transaction.outputs))
        return {self.spenders[txid, vout] for vout in outputs if (txid, vout) in self.spenders}

    def in_order(self) -> list[str]:
        """All, those first on which others build, and else by what they and whom they build on pay for their room."""
        ordered: dict[str, None] = {}
        for txid in sorted(self.waiting, key=self._rate_with_ancestors, reverse=True):
            family = self.ancestors([txid]) - ordered.keys()
            ordered.update(dict.fromkeys(sorted(family, key=lambda each: (len(self.ancestors([each])), each))))
        return list(ordered)

    def _rate_with_ancestors(self, txid: str) -> tuple[float, str]:
        # The order of a block's contents is no money; a float is as good as any.
        family = [self.waiting[each] for each in self.ancestors([txid])]
        return sum(each.fee for each in family) / sum(each.transaction.vsize for each in family), txid

    def _spent(self, outpoint: Outpoint) -> Coin:
        found = self.output(outpoint)
        if found is None:
            raise Rejected("bad-txns-inputs-missingorspent")
        return found

    def _replaced(self, entry: Waiting) -> set[str]:
        """Whom it replaces, if it pays for that (BIP-125, rules 2 to 5; which of them said so doesn't matter)."""
        rivals = {self.spenders[each.coin] for each in entry.transaction.inputs if each.coin in self.spenders}
        if not rivals:
            return set()
        replaced = {txid for rival in rivals for txid in self.descendants(rival)}
        txid, vsize = entry.transaction.txid, entry.transaction.vsize
        if len(replaced) > REPLACED_MAX:
            raise Rejected("too many potential replacements", f"rejecting replacement {txid}")
        known_parents = {parent for rival in rivals for parent in self.waiting[rival].parents}
        if replaced & self.ancestors(entry.parents):
            raise Rejected("bad-txns-spends-conflicting-tx", f"{txid} spends conflicting transaction")
        if entry.parents - known_parents:
            raise Rejected("replacement-adds-unconfirmed", f"replacement {txid} contains unconfirmed input")
        for rival in (self.waiting[each] for each in rivals):
            if entry.fee * rival.transaction.vsize <= rival.fee * vsize:
                raise Rejected("insufficient fee", f"rejecting replacement {txid}; new feerate not above the old one")
        before = sum(self.waiting[each].fee for each in replaced)
        if entry.fee < before:
            raise Rejected(
                "insufficient fee",
                f"rejecting replacement {txid}, less fees than conflicting txs; {entry.fee} < {before}",
            )
        more = rules.fee_for(rules.INCREMENT, vsize)
        if entry.fee - before < more:
            raise Rejected(
                "insufficient fee",
                f"rejecting replacement {txid}, not enough additional fees to relay; {entry.fee - before} < {more}",
            )
        return replaced

    def _check_family(self, entry: Waiting, replaced: set[str]) -> None:
        if len(self.waiting) >= WAITING_MAX:
            raise Rejected("mempool full")
        ancestors = self.ancestors(entry.parents)
        if len(ancestors) >= FAMILY_MAX:
            raise Rejected("too-long-mempool-chain", f"too many unconfirmed ancestors [limit: {FAMILY_MAX}]")
        for each in ancestors:
            if len(self.descendants(each) - replaced) >= FAMILY_MAX:
                raise Rejected("too-long-mempool-chain", f"too many descendants for tx {each} [limit: {FAMILY_MAX}]")

    def _check_scripts(self, transaction: Transaction, spent: Sequence[Coin]) -> None:
        if transaction.wtxid in self._verified:
            return
        wrong = consensus.wrong_input(transaction, [Output(coin.value, coin.script) for coin in spent])
        if wrong is not None:
            at = transaction.inputs[wrong]
            raise Rejected(
                "mandatory-script-verify-flag-failed (Script failed an op or a signature)",
                f"input {wrong} of {transaction.txid} (wtxid {transaction.wtxid}), spending {at.txid}:{at.vout}",
            )
        self._verified.add(transaction.wtxid)

    def _remove(self, txid: str) -> None:
        entry = self.waiting.pop(txid, None)
        if entry is not None:
            self._verified.discard(entry.transaction.wtxid)
            for each in entry.transaction.inputs:
                self.spenders.pop(each.coin, None)


def _closure(first: Iterable[str], further: Callable[[str], Iterable[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(first)
    while waiting:
        txid = waiting.pop()
        if txid not in found:
            found.add(txid)
            waiting.extend(further(txid))
    return found
