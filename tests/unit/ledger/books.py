"""Working sets for the rules, made without a database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from billfold.kernel import ids
from billfold.ledger.contracts import AccountStatus, Hold, NewHold, NewTransfer, Transfer, TransferKind
from billfold.ledger.domain import holds, transfers
from billfold.ledger.domain.book import AccountState, Book

NOW_US = 1_800_000_000_000_000


@dataclass
class Shelf:
    """Accounts, and the book of a batch that has locked them all."""

    now_us: int = NOW_US
    accounts: dict[UUID, AccountState] = field(default_factory=dict)

    def account(
        self,
        posted: int = 0,
        *,
        asset: str = "USD",
        floor: int | None = 0,
        status: AccountStatus = "open",
        held: int = 0,
        recorded_us: int = 0,
    ) -> UUID:
        made = ids.new()
        self.accounts[made] = AccountState(made, asset, floor, status, posted, held, 0, recorded_us, 0, held)
        return made

    def book(self) -> Book:
        return Book(accounts=self.accounts, now_us=self.now_us, ids=iter(ids.many(100)))

    def balances(self, *accounts: UUID) -> list[int]:
        return [self.accounts[account].posted for account in accounts]

    def state(self) -> dict[UUID, tuple[int, int, int, int]]:
        """All that a batch may change of accounts."""
        return {
            made: (account.posted, account.held, account.version, account.recorded_us)
            for made, account in self.accounts.items()
        }


def new(
    debit: UUID,
    credit: UUID,
    amount: int,
    *,
    asset: str = "USD",
    kind: TransferKind = "transfer",
    reference: str = "",
    description: str = "",
    metadata: Mapping[str, str] | None = None,
) -> NewTransfer:
    return NewTransfer(
        debit_account=debit,
        credit_account=credit,
        amount=amount,
        asset=asset,
        kind=kind,
        reference=reference,
        description=description,
        metadata=metadata or {},
    )


def pay(book: Book, debit: UUID, credit: UUID, amount: int) -> Transfer:
    return transfers.post(book, new(debit, credit, amount))


def hold(book: Book, account: UUID, amount: int) -> Hold:
    return holds.place(book, NewHold(account=account, amount=amount, asset="USD"), ids.new())
