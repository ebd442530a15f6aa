"""One import from its first row to its last: read, find wallets, post, write rejects, remember; block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import monotonic

import msgspec

from billfold.app.client import Api, ApiRefusal
from billfold.app.importing import accounts, posting
from billfold.app.importing.accounts import Accounts
from billfold.app.importing.mapping import Mapping
from billfold.app.importing.memory import Counts, Memory, Remembered
from billfold.app.importing.rejects import Kept, Rejects
from billfold.app.importing.rows import Reject, Row, Rows
from billfold.app.importing.source import FileUnfinished, Source
from billfold.kernel import errors

_NOT_FOUND = 404


class ImportChanged(errors.Conflict):
    """The file has changed since its import, and without an id column its rows can't be told apart from those before.

    A row is then known by its place, which another row may have now: it would be left out, and one that has moved on
    would count twice.
    """

    code = "import_changed"


class Summary(msgspec.Struct, kw_only=True):
    """What an import has done so far."""

    name: str
    asset: str
    #: What this run did, and what earlier runs had done that was left out now.
    now: Counts = msgspec.field(default_factory=Counts)
    before: Counts = msgspec.field(default_factory=Counts)
    seconds: float = 0.0
    #: For the progress bar: bytes of the file.
    read_bytes: int = 0
    size_bytes: int = 0

    #: The reject file, where this run or the one that it continues has written one.
    rejects_file: str | None = None
    #: Of the rejected rows those that are not in it: an earlier run has rejected them.
    rejected_elsewhere: int = 0

    @property
    def rejected(self) -> int:
        """Rows that could not be imported, by this run or an earlier one."""
        return self.before.rejected + self.now.rejected

    @property
    def rows_per_s(self) -> float:
        """How fast this run was."""
        return self.now.rows / self.seconds if self.seconds > 0 else 0.0


class Import:
    """An import. `summary` tells of it at any time, also after it has failed."""

    def __init__(
        self,
        api: Api,
        *,
        path: Path,
        mapping: Mapping,
        name: str,
        rejects: Path | None,
        memory: Path,
        complete: bool,
    ) -> None:
        """`memory` is the folder of what imports remember; `complete` says that the file's last line is whole.

        Without `rejects`, rows that can't be imported go to a new file in the working folder.
        """
        self._api = api
        self._path = path
        self._mapping = mapping
        self._rejects_path = rejects
        self._memory = Memory(memory, name=name)
        self._complete = complete
        self._last_transfer: str | None = None
        self._of_other_ledgers: list[Remembered] = []
        self.summary = Summary(name=name, asset=mapping.asset)

    async def run(self, progress: Callable[[Summary], None] = lambda _: None) -> None:
        """Import what is not imported yet, and tell `progress` of each block.

        Raises:
            FileUnfinished: the file breaks off; all before is imported.
            FileUnreadable, MappingInvalid, ImportRunning, ImportChanged, RejectsTaken, RejectsUnwritable,
            MemoryUnwritable, and what the API refuses; a run of the same import goes on behind the last block that
            was posted.
        """
        started = monotonic()
        with self._memory.locked(), Source(self._path, self._mapping, complete=self._complete) as source:
            asset = await accounts.asset_of(self._api, self._mapping.asset)
            kept = await self._resume(source)
            rows = Rows(self._mapping, name=self.summary.name, scale=asset.scale)
            wallets = Accounts(self._api, asset=asset, overdraft=self._mapping.overdraft)
            with Rejects(self._rejects_path, source, self._mapping, folder=Path.cwd(), kept=kept) as rejects:
                self._say_where(rejects)
                for block in _blocks(source, rows):
                    await self._import(block, rows, wallets, rejects)
                    self._remember(source, rejects)
                    self.summary.seconds = monotonic() - started
                    self.summary.read_bytes, self.summary.size_bytes = source.read_bytes, source.size
                    progress(self.summary)

    async def _import(self, block: Sequence[Row | Reject], rows: Rows, wallets: Accounts, rejects: Rejects) -> None:
        good = [row for row in block if isinstance(row, Row)]
        ids = await wallets.wallets([row.account for row in good])
        results = await posting.post(self._api, good, wallets=ids, asset=self._mapping.asset) if good else []
        bad = [row for row in block if isinstance(row, Reject)]
        counts = self.summary.now
        counts.wallets_created = wallets.created
        for row, result in zip(good, results, strict=True):
            if result.refusal is not None:
                why = result.refusal
                bad.append(rows.refused(row, code=why.code, detail=why.detail, pointer=why.pointer))
            elif result.replayed:
                counts.replayed += 1
            else:
                counts.imported += 1
            if result.transfer is not None:
                self._last_transfer = result.transfer.id
        rejects.append(sorted(bad, key=lambda reject: reject.line))
        counts.rejected += len(bad)
        self._say_where(rejects)

    def _say_where(self, rejects: Rejects) -> None:
        self.summary.rejects_file = None if rejects.kept is None else rejects.kept.path
        self.summary.rejected_elsewhere = self.summary.rejected - rejects.rows

    def _remember(self, source: Source, rejects: Rejects) -> None:
        if self._last_transfer is None:
            return  # Nothing was posted that could tell this ledger from another one.
        remembered = Remembered(
            position=source.position,
            counts=self.summary.before + self.summary.now,
            rejects=rejects.kept,
            last_transfer=self._last_transfer,
        )
        self._memory.write([remembered, *self._of_other_ledgers])

    async def _resume(self, source: Source) -> Kept | None:
        """Leave out what is remembered, if it is still so, and return the reject file that belongs to it."""
        remembered = await self._remembered()
        if remembered is None:
            return None
        if not source.skip_to(remembered.position):
            if self._mapping.id_column is None:
                raise ImportChanged
            return None
        self.summary.before = remembered.counts
        self._last_transfer = remembered.last_transfer
        return remembered.rejects

    async def _remembered(self) -> Remembered | None:
        """What is remembered of this import into the ledger behind the API."""
        self._of_other_ledgers = self._memory.read()
        for remembered in self._of_other_ledgers:
            if await self._is_in_ledger(remembered.last_transfer):
                self._of_other_ledgers.remove(remembered)
                return remembered
        return None

    async def _is_in_ledger(self, transfer: str | None) -> bool:
        """Whether this ledger is the one that the import was into, and no new one or older copy of it."""
        if transfer is None:
            return False
        try:
            await self._api.get(f"/transfers/{transfer}")
        except ApiRefusal as refusal:
            if refusal.status != _NOT_FOUND:
                raise
            return False
        return True


def _blocks(source: Source, rows: Rows) -> Iterator[list[Row | Reject]]:
    """The file in blocks; what is whole of a file that breaks off comes before its error."""
    block: list[Row | Reject] = []
    try:
        for record in source.records():
            block.append(rows.read(record))
            if len(block) == posting.BLOCK_ROWS:
                yield block
                block = []
    except FileUnfinished:
        yield block
        raise
    yield block
