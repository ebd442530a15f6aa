"""LiteSVM: accounts, and what transactions do to them. It knows no blocks, and no blockhash of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTable
from solders.clock import Clock
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from billfold.devnet.solana import failures

SYSTEM = Pubkey.default()
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022 = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
#: What a transaction may compute where it does not say it, by instruction, and at most; prices are in millionths.
_UNITS_OF_BUILTIN = 3_000
_UNITS_OF_OTHERS = 200_000
_UNITS_MAX = 1_400_000
_MICRO = 1_000_000
#: Instructions of the transaction itself are at 1.
_STACK_HEIGHT_OF_INNER = 2
SLOTS_PER_EPOCH = 432_000
_TOKEN_ACCOUNT_BYTES = 165
_MINT_BYTES = 82
#: Layout of a nonce account: version, state, authority, nonce, fee (solana-nonce).
_NONCE_BYTES = 80
_NONCE_AT = slice(40, 72)
_NONCE_INITIALIZED = (1).to_bytes(4, "little") * 2
_ADVANCE_NONCE = (4).to_bytes(4, "little")

#: Of each account that is another afterwards: what it was, and what it is.
Changes = Mapping[str, tuple[Account | None, Account | None]]


class TokenBalance(msgspec.Struct, frozen=True):
    """What one token account holds before or after a transaction."""

    index: int
    mint: str
    owner: str
    amount: int
    decimals: int
    program: str


class Inner(msgspec.Struct, frozen=True):
    """An instruction that a program gave to another."""

    program: int
    accounts: bytes
    data: bytes
    height: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction did. `error` has the form in which nodes tell it; None is success."""

    error: Any
    fee: int
    logs: Sequence[str]
    units: int
    inner: Sequence[Sequence[Inner]]
    before: Sequence[int]
    after: Sequence[int]
    tokens_before: Sequence[TokenBalance]
    tokens_after: Sequence[TokenBalance]
    writable: Sequence[str]
    readonly: Sequence[str]


class Engine:
    """The accounts as they are now."""

    def __init__(self) -> None:
        # Which blockhashes count, and what was there before, `chain` decides: LiteSVM knows but one blockhash.
        self._svm = LiteSVM().with_blockhash_check(False).with_transaction_history(0)  # noqa: FBT003 - its own signature

    def new_slot(self, slot: int, time: int) -> None:
        """Time goes by: the clock that programs read, and the hash that durable nonces are made of."""
        self._svm.expire_blockhash()
        epoch = slot // SLOTS_PER_EPOCH
        self._svm.set_clock(Clock(slot, 0, epoch, epoch + 1, time))

    def skip(self, slots: int) -> None:
        """So many slots have gone by: durable nonces that were used up do not come again."""
        for _ in range(slots):
            self._svm.expire_blockhash()

    def account(self, key: Pubkey) -> Account | None:
        return self._svm.get_account(key)

    def put(self, key: Pubkey, account: Account | None) -> None:
        """Set what an account is; None: it is not there."""
        self._svm.set_account(key, account or Account(0, b"", SYSTEM))

    def rent(self, size: int) -> int:
        return self._svm.minimum_balance_for_rent_exemption(size)

    def owned(self, program: Pubkey) -> Sequence[tuple[Pubkey, Account]]:
        return self._svm.get_program_accounts(program)

    def execute(self, transaction: VersionedTransaction, *, nonce: Pubkey | None) -> tuple[Outcome, Changes] | None:
        """Do it; None if it can't even pay its fee, so that no block may have it.

        `nonce` is the account of its durable nonce, which goes on even where the rest fails.
        """
        keys = self.keys(transaction)
        before = [self.account(key) for key in keys.all]
        done = self._svm.send_transaction(transaction)
        meta = done.meta() if isinstance(done, FailedTransactionMetadata) else done
        if isinstance(done, FailedTransactionMetadata):
            if not meta.fee():
                return None
            self._advance(nonce)
        after = [self.account(key) for key in keys.all]
        changes = {str(k): (a, b) for k, a, b in zip(keys.all, before, after, strict=True) if a != b}
        error = failures.told(done.err()) if isinstance(done, FailedTransactionMetadata) else None
        return self._outcome(keys, meta, error, before, after), changes

    def simulate(self, transaction: VersionedTransaction) -> tuple[Outcome, Mapping[str, Account]]:
        """What it would do if it were signed, and the accounts as they would be."""
        keys = self.keys(transaction)
        before = [self.account(key) for key in keys.all]
        self._svm.with_sigverify(False)  # noqa: FBT003 - its own signature
        try:
            done = self._svm.simulate_transaction(transaction)
        finally:
            self._svm.with_sigverify(True)  # noqa: FBT003
        meta = done.meta()
        if isinstance(done, FailedTransactionMetadata):
            return self._outcome(keys, meta, failures.told(done.err()), before, before), {}
        changed = {str(key): account for key, account in done.post_accounts()}
        after = [changed.get(str(key), old) for key, old in zip(keys.all, before, strict=True)]
        return self._outcome(keys, meta, None, before, after), changed

    def keys(self, transaction: VersionedTransaction) -> Keys:
        """All accounts of a transaction, in the order by which its instructions name them."""
        message = transaction.message
        static = list(message.account_keys)
        writable: list[Pubkey] = []
        readonly: list[Pubkey] = []
        if isinstance(message, MessageV0):
            for lookup in message.address_table_lookups:
                table = self.account(lookup.account_key)
                if table is None:
                    continue
                addresses = AddressLookupTable.deserialize(table.data).addresses
                writable += [addresses[i] for i in lookup.writable_indexes if i < len(addresses)]
                readonly += [addresses[i] for i in lookup.readonly_indexes if i < len(addresses)]
        return Keys(static=static, writable=writable, readonly=readonly)

    def nonce_of(self, transaction: VersionedTransaction) -> Pubkey | None:
        """The account whose durable nonce the transaction has in the place of a blockhash, if it is one."""
        message = transaction.message
        if not message.instructions:
            return None
        first = message.instructions[0]
        keys = list(message.account_keys)
        if keys[first.program_id_index] != SYSTEM or first.data[:4] != _ADVANCE_NONCE or not first.accounts:
            return None
        key = keys[first.accounts[0]] if first.accounts[0] < len(keys) else SYSTEM
        account = self.account(key)
        if account is None or account.owner != SYSTEM or len(account.data) != _NONCE_BYTES:
            return None
        good = account.data[:8] == _NONCE_INITIALIZED and account.data[_NONCE_AT] == bytes(message.recent_blockhash)
        return key if good else None

    def _advance(self, nonce: Pubkey | None) -> None:
        """The next nonce, as Solana's runtime makes it where a transaction with a durable nonce fails."""
        account = self.account(nonce) if nonce is not None else None
        if nonce is None or account is None:
            return
        fresh = hashlib.sha256(b"DURABLE_NONCE" + bytes(self._svm.latest_blockhash())).digest()
        data = account.data[: _NONCE_AT.start] + fresh + account.data[_NONCE_AT.stop :]
        self.put(nonce, Account(account.lamports, data, account.owner, account.executable, account.rent_epoch))

    def _outcome(
        self,
        keys: Keys,
        meta: TransactionMetadata,
        error: Any,
        before: Sequence[Account | None],
        after: Sequence[Account | None],
    ) -> Outcome:
        return Outcome(
            error=error,
            fee=meta.fee(),
            logs=meta.logs(),
            units=meta.compute_units_consumed(),
            inner=[
                [
                    Inner(
                        each.instruction().program_id_index,
                        each.instruction().accounts,
                        each.instruction().data,
                        each.stack_height() or _STACK_HEIGHT_OF_INNER,
                    )
                    for each in one
                ]
                for one in meta.inner_instructions()
            ],
            before=[account.lamports if account else 0 for account in before],
            after=[account.lamports if account else 0 for account in after],
            tokens_before=self._tokens(before),
            tokens_after=self._tokens(after),
            writable=[str(key) for key in keys.writable],
            readonly=[str(key) for key in keys.readonly],
        )

    def _tokens(self, accounts: Sequence[Account | None]) -> list[TokenBalance]:
        found = []
        for index, account in enumerate(accounts):
            held = token_account(account)
            mint = self.mint(held.mint) if held else None
            if account and held and mint:
                found.append(
                    TokenBalance(index, str(held.mint), str(held.owner), held.amount, mint.decimals, str(account.owner))
                )
        return found

    def mint(self, key: Pubkey) -> Mint | None:
        account = self.account(key)
        if account is None or account.owner not in {TOKEN, TOKEN_2022} or len(account.data) != _MINT_BYTES:
            return None
        return Mint.from_bytes(account.data)


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The accounts of a transaction: those that it names, and those that it takes from tables."""

    static: Sequence[Pubkey]
    writable: Sequence[Pubkey]
    readonly: Sequence[Pubkey]

    @property
    def all(self) -> Sequence[Pubkey]:
        return [*self.static, *self.writable, *self.readonly]


def priority_fee(message: Message | MessageV0) -> int:
    """What a message offers for a better place, in lamports (Agave's compute-budget-instruction)."""
    price, limit, usual = 0, None, 0
    for each in message.instructions:
        program = message.account_keys[each.program_id_index]
        usual += _UNITS_OF_BUILTIN if program in {COMPUTE_BUDGET, SYSTEM} else _UNITS_OF_OTHERS
        if program == COMPUTE_BUDGET and each.data[:1] == b"\2":
            limit = int.from_bytes(each.data[1:5], "little")
        if program == COMPUTE_BUDGET and each.data[:1] == b"\3":
            price = int.from_bytes(each.data[1:9], "little")
    units = min(usual if limit is None else limit, _UNITS_MAX)
    return -(-price * units // _MICRO)


def token_account(account: Account | None) -> TokenAccount | None:
    """The account read as one that holds tokens; None if it is none."""
    if account is None or account.owner not in {TOKEN, TOKEN_2022} or len(account.data) < _TOKEN_ACCOUNT_BYTES:
        return None
    if not account.data[108]:  # Its state: not initialised.
        return None
    return TokenAccount.from_bytes(account.data[:_TOKEN_ACCOUNT_BYTES])
