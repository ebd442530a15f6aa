"""The chain: transactions that wait, ledgers that are closed with them, and the same again after a kill."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import Enum
from pathlib import Path

from stellar_sdk import Keypair
from stellar_sdk.operation import Operation

from billfold.devnet.stellar import envelopes, operations, validity
from billfold.devnet.stellar.envelopes import Envelope
from billfold.devnet.stellar.history import History, Included, Ledger
from billfold.devnet.stellar.journal import Closed, Journal, Taken
from billfold.devnet.stellar.operations import Outcome
from billfold.devnet.stellar.results import Code, Verdict
from billfold.devnet.stellar.state import BASE_FEE, Account, State

#: All lumens that there are at the beginning, in stroops, as on the public network.
LUMENS = 100_000_000_000 * 10_000_000
#: Operations in a ledger, as on the public network; if more wait, the best payers go first.
OPERATIONS_MAX = 1_000
#: Ledgers that may pass before a waiting transaction that found no room is forgotten, as in the network's queue.
_PATIENCE = 10
#: By how much a fee bump must outbid what already waits with the same number.
REPLACING_FACTOR = 10


class Answer(Enum):
    """What stellar-core says of a transaction that is handed in and not refused."""

    PENDING = "PENDING"
    DUPLICATE = "DUPLICATE"
    TRY_AGAIN_LATER = "TRY_AGAIN_LATER"


class Ledgers:
    """One chain in one folder."""

    def __init__(self, folder: Path, *, passphrase: str) -> None:
        self.passphrase = passphrase
        self.state = State()
        self.history = History()
        self._journal = Journal(folder / "journal")
        self._waiting: dict[str, Envelope] = {}
        self._since: dict[str, int] = {}
        self._fee_pool = 0

    def open(self, *, at: int) -> bool:
        """Read the journal; True if the chain has only now begun, with a first ledger that closed at `at`."""
        root = Keypair.from_raw_ed25519_seed(hashlib.sha256(self.passphrase.encode()).digest()).public_key
        self.state.add(Account(root, LUMENS, 0, 1))
        for line in self._journal.lines():
            if isinstance(line, Taken):
                self._wait(self.read(line.envelope))
            else:
                self._again(line)
        if len(self.history):
            return False
        self.close(at=at)
        return True

    def stop(self) -> None:
        """No more ledgers."""
        self._journal.close()

    def read(self, text: str) -> Envelope:
        """The envelope of a text.

        Raises:
            envelopes.Malformed
        """
        return envelopes.read(text, passphrase=self.passphrase)

    # --- what waits -------------------------------------------------------------------------------------------

    def waiting(self) -> list[Envelope]:
        """Transactions that no ledger has yet."""
        return list(self._waiting.values())

    def submit(self, envelope: Envelope, *, at: int) -> Answer | Verdict:
        """Take a transaction, or say why not. One that is taken is on the disk."""
        before = self._waiting.get(envelope.source)
        if before is not None:
            if before.hash == envelope.hash:
                return Answer.DUPLICATE
            if envelope.inner_hash is None or before.transaction.sequence != envelope.transaction.sequence:
                return Answer.TRY_AGAIN_LATER
            if not _outbids(envelope, before):
                return Verdict(Code.txINSUFFICIENT_FEE, outer=True)
        wrong = validity.check(
            self.state, envelope, at=max(at, self.history.last.at), owed=self._owed(envelope.fee_account, before)
        )
        if wrong is not None:
            return wrong
        self._journal.write(Taken(envelope.text()))
        self._wait(envelope)
        return Answer.PENDING

    def _owed(self, payer: str, without: Envelope | None) -> int:
        return sum(other.fee for other in self._waiting.values() if other.fee_account == payer and other is not without)

    def _wait(self, envelope: Envelope) -> None:
        self._waiting[envelope.source] = envelope
        self._since[envelope.source] = len(self.history)

    # --- ledgers ----------------------------------------------------------------------------------------------

    def close(self, *, at: int) -> Ledger:
        """Make a ledger of what waits."""
        at = max(at, self.history.last.at) if len(self.history) else at
        self._prune(at)
        chosen, fee = self._choose()
        ledger = self._applied(chosen, at=at, fee=fee)
        self._journal.write(Closed(at, fee, tuple(each.text() for each in chosen), ledger.hash))
        self._add(ledger)
        return ledger

    def _again(self, line: Closed) -> None:
        self._prune(line.at)
        ledger = self._applied([self.read(text) for text in line.transactions], at=line.at, fee=line.fee)
        assert ledger.hash == line.hash, f"ledger {ledger.sequence} is not what it was"
        self._add(ledger)

    def _add(self, ledger: Ledger) -> None:
        for included in ledger.transactions:
            self._forget(included.envelope.source)
        self.history.add(ledger)

    def _prune(self, at: int) -> None:
        """Forget what can't happen any more, or has waited too long."""
        for source, envelope in list(self._waiting.items()):
            late = len(self.history) - self._since[source] >= _PATIENCE
            if late or validity.check(self.state, envelope, at=at) is not None:
                self._forget(source)

    def _forget(self, source: str) -> None:
        self._waiting.pop(source, None)
        self._since.pop(source, None)

    def _choose(self) -> tuple[list[Envelope], int]:
        """What goes into the next ledger, and stroops for an operation."""
        waiting = self.waiting()
        if sum(each.charged_operations for each in waiting) <= OPERATIONS_MAX:
            return waiting, BASE_FEE
        chosen, room = list[Envelope](), OPERATIONS_MAX
        for each in sorted(waiting, key=lambda one: -one.fee * OPERATIONS_MAX // one.charged_operations):
            if each.charged_operations <= room:
                chosen.append(each)
                room -= each.charged_operations
        return chosen, min(each.fee // each.charged_operations for each in chosen)

    def _applied(self, chosen: Iterable[Envelope], *, at: int, fee: int) -> Ledger:
        sequence = len(self.history) + 1
        envelopes_ = list(chosen)
        charges = [self._charge(each, fee) for each in envelopes_]
        done = tuple(
            Included(each, sequence, place, at, self._apply(each, at=at, sequence=sequence), charged)
            for place, (each, charged) in enumerate(zip(envelopes_, charges, strict=True), start=1)
        )
        parent = self.history.last.hash if len(self.history) else "0" * 64
        digest = hashlib.sha256(f"{parent} {sequence} {at} {fee}".encode())
        for each in done:
            digest.update(each.envelope.hash + each.verdict.result(each.envelope, charged=each.charged).to_xdr_bytes())
        return Ledger(sequence, digest.hexdigest(), parent, at, fee, self._fee_pool, done)

    def _charge(self, envelope: Envelope, fee: int) -> int:
        """Fees of all transactions of a ledger are charged before the first does anything."""
        payer = self.state.account(envelope.fee_account)
        assert payer is not None, "checked a moment ago"
        charged = min(envelope.fee, fee * envelope.charged_operations, payer.balance)
        payer.balance -= charged
        self._fee_pool += charged
        return charged

    def _apply(self, envelope: Envelope, *, at: int, sequence: int) -> Verdict:
        wrong = validity.check(self.state, envelope, at=at, charged=True)
        source = self.state.account(envelope.source)
        if source is not None and source.sequence + 1 == envelope.transaction.sequence:
            source.sequence += 1
            source.modified = sequence
        if wrong is not None:
            return wrong
        self.state.begin()
        outcomes = tuple(self._outcome(envelope, operation, sequence) for operation in envelope.operations)
        if all(outcome.succeeded for outcome in outcomes):
            self.state.keep()
            return Verdict(Code.txSUCCESS, outcomes)
        self.state.take_back()
        return Verdict(Code.txFAILED, outcomes)

    def _outcome(self, envelope: Envelope, operation: Operation, sequence: int) -> Outcome:
        account = self.state.account(validity.source_of(envelope, operation))
        if account is None:
            return operations.no_account()
        account.modified = sequence
        return operations.carry_out(self.state, account, operation, ledger=sequence)


def _outbids(envelope: Envelope, before: Envelope) -> bool:
    return envelope.fee * before.charged_operations >= REPLACING_FACTOR * before.fee * envelope.charged_operations
