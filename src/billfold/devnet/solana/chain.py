"""Slots, blocks, forks, and which transactions they take: what LiteSVM leaves to the validators around it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from solders.account import Account
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from billfold.devnet import serving
from billfold.devnet.solana import faucet, journal
from billfold.devnet.solana.engine import Engine

#: A blockhash counts for so many blocks (MAX_PROCESSING_AGE of Solana).
HASH_AGE_MAX = 150
#: A block with so many upon it stays for ever: a validator's lockout is 32 slots at its longest.
FINAL_DEPTH = 32
#: What one block takes; a real one has a limit of compute units, which comes to about as many.
BLOCK_TRANSACTIONS_MAX = 2_000
#: More than this don't wait: whoever sends on while nothing is mined has forgotten something.
PENDING_MAX = 50_000

Commitment = Literal["processed", "confirmed", "finalized"]


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A block, and the accounts as they were before it as long as it can go."""

    slot: int
    height: int
    hash: str
    parent_slot: int
    parent_hash: str
    time: int
    #: Of all transactions up to here.
    count: int = 0
    transactions: Sequence[journal.Executed] = ()
    undo: dict[str, Account | None] = {}


class Chain:
    """The one chain of this machine: every method leaves it as it would be found after a kill."""

    def __init__(self, written: journal.Journal, *, now: Callable[[], int], salt: Callable[[], bytes]) -> None:
        self.engine = Engine()
        self._journal = written
        self._now = now
        self._salt = salt
        self._blocks: list[Block] = []
        self._at_slot: dict[int, int] = {}
        self._heights: dict[str, int] = {}
        self._found: dict[str, tuple[int, int]] = {}
        self._messages: set[str] = set()
        self._of_address: dict[str, list[str]] = {}
        self._pending: dict[str, bytes] = {}
        self._next_slot = 1

    # --- what it is --------------------------------------------------------------------------------------------

    @property
    def genesis(self) -> Block:
        return self._blocks[0]

    @property
    def pending(self) -> int:
        return len(self._pending)

    def head(self, commitment: Commitment) -> Block:
        """The last block of which so much is certain."""
        if commitment == "finalized":
            return self._blocks[max(0, len(self._blocks) - 1 - FINAL_DEPTH)]
        return self._blocks[-1]

    def block(self, slot: int) -> Block | None:
        height = self._at_slot.get(slot)
        return None if height is None else self._blocks[height]

    def at_height(self, height: int) -> Block:
        return self._blocks[height]

    def between(self, first: int, last: int) -> list[int]:
        """The slots from the first to the last that have a block."""
        return [slot for slot in range(first, last + 1) if slot in self._at_slot]

    def find(self, signature: str) -> tuple[Block, journal.Executed] | None:
        place = self._found.get(signature)
        if place is None:
            return None
        block = self._blocks[place[0]]
        return block, block.transactions[place[1]]

    def of_address(self, address: str) -> Sequence[str]:
        """The signatures of all transactions that name the address, the oldest first."""
        return self._of_address.get(address, ())

    def account(self, key: Pubkey, at: Block) -> Account | None:
        """What the account was after a block that is the last final one, or a later one."""
        for block in self._blocks[at.height + 1 :]:
            if str(key) in block.undo:
                return block.undo[str(key)]
        return self.engine.account(key)

    def last_height(self, blockhash: str) -> int | None:
        """The height of the last block in which the blockhash counts; None if it counts in none that is to come."""
        height = self._heights.get(blockhash)
        if height is None or len(self._blocks) > height + HASH_AGE_MAX:
            return None
        return height + HASH_AGE_MAX

    def fault(self, transaction: VersionedTransaction) -> str | None:
        """Why the next block would not even look into the transaction, as nodes say it."""
        # By the message, too: under another signature of the same key it is the same, and no validator does it again.
        if str(transaction.signatures[0]) in self._found or _message(transaction) in self._messages:
            return "AlreadyProcessed"
        known = self.last_height(str(transaction.message.recent_blockhash)) is not None
        return None if known or self.engine.nonce_of(transaction) else "BlockhashNotFound"

    # --- what happens to it ------------------------------------------------------------------------------------

    def load(self) -> None:
        """Be as it was left, or begin."""
        accounts: dict[str, Account | None] = {}
        for key, account in faucet.genesis(self.engine.rent):
            accounts[str(key)] = account
        for line in self._journal.lines():
            self._read(line, accounts)
        self._journal.open()
        if not self._blocks:
            begun = journal.Genesis(salt=self._salt(), time=self._now())
            self._journal.add(begun)
            self._read(begun, accounts)
        for name, now in accounts.items():
            self.engine.put(Pubkey.from_string(name), now)
        self.engine.skip(self._next_slot)
        self.engine.new_slot(self._blocks[-1].slot, self._blocks[-1].time)

    def accept(self, transaction: VersionedTransaction) -> None:
        """Let it wait for a block.

        Raises:
            DevnetConflict: too many wait.
        """
        signature = str(transaction.signatures[0])
        if signature in self._pending or signature in self._found:
            return
        if len(self._pending) >= PENDING_MAX:
            raise serving.DevnetConflict(f"{PENDING_MAX} transactions wait for a block already.")
        raw = bytes(transaction)
        self._journal.add(journal.Accepted(raw=raw))
        self._pending[signature] = raw

    def mine(self, blocks: int) -> None:
        self._journal.add(*[self._make() for _ in range(blocks)])

    def fork(self, *, depth: int, drop: bool) -> None:
        """Other blocks in the place of the last ones. Their slots stay empty: a slot has one leader, and one block.

        Raises:
            DevnetConflict: one of them is final.
        """
        if depth > len(self._blocks) - 1 - self.head("finalized").height:
            raise serving.DevnetConflict(f"Of this chain, what has {FINAL_DEPTH} blocks upon it is final.")
        slot = self._blocks[-1 - depth].slot
        for name, account in self._cut(slot, drop=drop).items():
            self.engine.put(Pubkey.from_string(name), account)
        self._journal.add(journal.Forked(slot=slot, drop=drop), *[self._make() for _ in range(depth + 1)])

    # --- how ---------------------------------------------------------------------------------------------------

    def _read(self, line: journal.Line, accounts: dict[str, Account | None]) -> None:
        """Do again what a line of the journal says."""
        match line:
            case journal.Genesis():
                name = str(Hash(hashlib.sha256(b"billfold devnet" + line.salt).digest()))
                self._append(
                    Block(slot=0, height=0, hash=name, parent_slot=0, parent_hash=str(Hash.default()), time=line.time)
                )
            case journal.Accepted():
                self._pending[str(VersionedTransaction.from_bytes(line.raw).signatures[0])] = line.raw
            case journal.Made():
                undo = {name: accounts.get(name) for name in line.changes}
                accounts.update({name: _account(after) for name, after in line.changes.items()})
                self._append(self._block(line, undo))
            case journal.Forked():
                self._next_slot = self._blocks[-1].slot + 1
                accounts.update(self._cut(line.slot, drop=line.drop))

    def _make(self) -> journal.Made:
        """The next block, with what waits for one and can be in it."""
        slot, time = self._next_slot, max(self._now(), self._blocks[-1].time)
        self.engine.new_slot(slot, time)
        executed: list[journal.Executed] = []
        messages: set[str] = set()
        undo: dict[str, Account | None] = {}
        after: dict[str, Account | None] = {}
        for signature in list(self._pending)[:BLOCK_TRANSACTIONS_MAX]:
            transaction = VersionedTransaction.from_bytes(self._pending.pop(signature))
            # As on the real chain, what can't be in a block any more is forgotten without a word.
            message = _message(transaction)
            if self.fault(transaction) is not None or message in messages:
                continue
            done = self.engine.execute(transaction, nonce=self._nonce(transaction))
            if done is None:
                continue
            executed.append(journal.Executed(signature=signature, raw=bytes(transaction), outcome=done[0]))
            messages.add(message)
            for name, (old, new) in done[1].items():
                undo.setdefault(name, old)
                after[name] = new
        made = journal.Made(
            slot=slot,
            hash=self._hash(slot, time, [each.signature for each in executed]),
            time=time,
            transactions=executed,
            changes={name: _written(account) for name, account in after.items()},
        )
        self._append(self._block(made, undo))
        return made

    def _nonce(self, transaction: VersionedTransaction) -> Pubkey | None:
        recent = self.last_height(str(transaction.message.recent_blockhash)) is not None
        return None if recent else self.engine.nonce_of(transaction)

    def _hash(self, slot: int, time: int, signatures: Sequence[str]) -> str:
        text = "\n".join([self.genesis.hash, self._blocks[-1].hash, str(slot), str(time), *signatures])
        return str(Hash(hashlib.sha256(text.encode()).digest()))

    def _block(self, made: journal.Made, undo: dict[str, Account | None]) -> Block:
        parent = self._blocks[-1]
        return Block(
            slot=made.slot,
            height=parent.height + 1,
            hash=made.hash,
            parent_slot=parent.slot,
            parent_hash=parent.hash,
            time=made.time,
            count=parent.count + len(made.transactions),
            transactions=made.transactions,
            undo=undo,
        )

    def _append(self, block: Block) -> None:
        self._blocks.append(block)
        self._next_slot = block.slot + 1
        self._at_slot[block.slot] = block.height
        self._heights[block.hash] = block.height
        for index, each in enumerate(block.transactions):
            self._found[each.signature] = (block.height, index)
            self._pending.pop(each.signature, None)
            transaction = VersionedTransaction.from_bytes(each.raw)
            self._messages.add(_message(transaction))
            for address in _addresses(transaction, each):
                self._of_address.setdefault(address, []).append(each.signature)
        final = self.head("finalized")
        final.undo.clear()

    def _cut(self, slot: int, *, drop: bool) -> dict[str, Account | None]:
        """Take off the blocks after a slot; gives the accounts as they were at its end."""
        before: dict[str, Account | None] = {}
        again: dict[str, bytes] = {}
        while self._blocks[-1].slot > slot:
            block = self._blocks.pop()
            del self._at_slot[block.slot], self._heights[block.hash]
            before.update(block.undo)
            again = {each.signature: each.raw for each in block.transactions} | again
            for each in reversed(block.transactions):
                del self._found[each.signature]
                transaction = VersionedTransaction.from_bytes(each.raw)
                self._messages.discard(_message(transaction))
                for address in _addresses(transaction, each):
                    self._of_address[address].pop()
        if not drop:
            self._pending = again | self._pending
        return before


def _message(transaction: VersionedTransaction) -> str:
    return str(transaction.message.hash())


def _addresses(transaction: VersionedTransaction, executed: journal.Executed) -> set[str]:
    return {str(key) for key in transaction.message.account_keys} | {
        *executed.outcome.writable,
        *executed.outcome.readonly,
    }


def _written(account: Account | None) -> journal.Account | None:
    if account is None:
        return None
    return journal.Account(
        lamports=account.lamports,
        data=account.data,
        owner=str(account.owner),
        executable=account.executable,
        rent_epoch=account.rent_epoch,
    )


def _account(written: journal.Account | None) -> Account | None:
    if written is None:
        return None
    owner = Pubkey.from_string(written.owner)
    return Account(written.lamports, written.data, owner, written.executable, written.rent_epoch)
