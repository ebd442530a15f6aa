"""Play money: lumens from the account that has all of them, and the test asset from its issuer.

An account can have one transaction waiting at a time. So there are accounts whose only use is to be the source of one.
"""

from __future__ import annotations

import hashlib
import re

from stellar_sdk import (
    Account,
    Asset,
    CreateAccount,
    IdMemo,
    Keypair,
    Memo,
    MuxedAccount,
    Payment,
    TextMemo,
    TransactionBuilder,
)
from stellar_sdk.exceptions import SdkError
from stellar_sdk.operation import Operation

from billfold.devnet.serving import DevnetConflict, DevnetError
from billfold.devnet.stellar.balances import issuer
from billfold.devnet.stellar.ledgers import Answer, Ledgers
from billfold.devnet.stellar.results import Verdict
from billfold.devnet.stellar.state import BASE_FEE

#: So many payments fit into a ledger.
SOURCES = 50
#: Lumens of each account of the faucet's own: for fees.
_OPENING = "1000"
_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,7})?")
_MEMO = re.compile(r"(id|text):(.{0,28})", re.DOTALL)
#: What the test asset is called.
CODE = "USDC"


class Faucet:
    """Pays whoever asks."""

    def __init__(self, ledgers: Ledgers) -> None:
        self._ledgers = ledgers
        passphrase = ledgers.passphrase.encode()
        # The first account's key follows from the passphrase, as on every network of Stellar.
        self._root = Keypair.from_raw_ed25519_seed(hashlib.sha256(passphrase).digest())
        self._issuer = Keypair.from_raw_ed25519_seed(hashlib.sha256(passphrase + b" issuer").digest())
        self._sources = [
            Keypair.from_raw_ed25519_seed(hashlib.sha256(passphrase + f" faucet {number}".encode()).digest())
            for number in range(SOURCES)
        ]

    @property
    def token(self) -> str:
        """The test asset."""
        return f"{CODE}:{self._issuer.public_key}"

    def begin(self, *, at: int) -> None:
        """Make the accounts of a chain that has only begun."""
        new = [self._issuer, *self._sources]
        openings: list[Operation] = [CreateAccount(each.public_key, _OPENING) for each in new]
        self._send(self._root, openings, [self._root], None, at)
        self._ledgers.close(at=at)

    def pay(self, *, address: str, amount: str, token: str | None, memo: str | None, at: int) -> str:
        """The hash of a transaction that pays, or makes the account with so much.

        Raises:
            DevnetError
        """
        destination = _address(address)
        if not _AMOUNT.fullmatch(amount) or not any(digit in amount for digit in "123456789"):
            raise DevnetError("An amount has up to seven decimals.")
        payer = self._root if token is None else self._payer(token)
        source = self._free()
        if token is None and not self._there(destination.account_id):
            operation: Operation = CreateAccount(destination.account_id, amount, source=payer.public_key)
        else:
            asset = Asset.native() if token is None else Asset(CODE, issuer(token))
            operation = Payment(destination, asset, amount, source=payer.public_key)
        return self._send(source, [operation], [source, payer], _memo(memo), at)

    def _payer(self, token: str) -> Keypair:
        if token != self.token:
            raise DevnetError(f"The faucet has lumens, and {self.token}.")
        return self._issuer

    def _free(self) -> Keypair:
        busy = {each.source for each in self._ledgers.waiting()}
        for each in self._sources:
            if each.public_key not in busy:
                return each
        raise DevnetConflict(f"{SOURCES} payments wait for a ledger; make one first.")

    def _there(self, address: str) -> bool:
        """Whether the account is there when the transaction's turn comes."""
        opened = {
            operation.destination
            for waiting in self._ledgers.waiting()
            for operation in waiting.operations
            if isinstance(operation, CreateAccount)
        }
        return address in opened or self._ledgers.state.account(address) is not None

    def _send(self, source: Keypair, what: list[Operation], signers: list[Keypair], memo: Memo | None, at: int) -> str:
        account = self._ledgers.state.account(source.public_key)
        assert account is not None, "the faucet's own accounts are made with the chain"
        builder = TransactionBuilder(
            Account(source.public_key, account.sequence), self._ledgers.passphrase, base_fee=BASE_FEE
        )
        for operation in what:
            builder.append_operation(operation)
        if memo is not None:
            builder.add_memo(memo)
        # It may wait for as long as it likes.
        envelope = builder.add_time_bounds(0, 0).build()
        for signer in signers:
            envelope.sign(signer)
        read = self._ledgers.read(envelope.to_xdr())
        answer = self._ledgers.submit(read, at=at)
        if answer is not Answer.PENDING:
            said = answer.words(read) if isinstance(answer, Verdict) else answer.value
            raise DevnetError(f"The ledger does not take it: {said}.")
        return read.hash.hex()


def _address(text: str) -> MuxedAccount:
    try:
        return MuxedAccount.from_account(text)
    except (ValueError, SdkError):
        raise DevnetError("This is no address of Stellar (G… or M…).") from None


def _memo(text: str | None) -> Memo | None:
    if text is None:
        return None
    found = _MEMO.fullmatch(text)
    try:
        if found is None:
            raise DevnetError("A memo is id:NUMBER or text:UP TO 28 BYTES.")
        return IdMemo(int(found[2])) if found[1] == "id" else TextMemo(found[2])
    except (ValueError, SdkError):
        raise DevnetError("A memo is id:NUMBER or text:UP TO 28 BYTES.") from None
