"""What has been answered for, on disk before it is answered: transactions and blocks, line by line, and whole states.

    blocks-00000256.jsonl   from that height on: {"tx": raw}, {"block": …}, {"back": height}, {"drop": [hash, …]}
    state-00000256          what the engine knew after that block, in the engine's own form

Two states are kept, and the lines since the older one. To start is to load the older state and to make the blocks since
then once more, so that a reorganization can reach back before the newer one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

STATES_KEPT = 2


class Made(msgspec.Struct, frozen=True):
    """A block: what has to be given to the engine to make it again, and the hash that it must get."""

    height: int
    hash: str
    time: int
    #: Hashes, in the order in which they are in the block.
    txs: list[str]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened."""

    tx: tuple[str, str] | None = None
    block: Made | None = None
    back: int | None = None
    drop: list[str] | None = None


class Past(msgspec.Struct):
    """All that happened since a state."""

    base: int
    state: bytes | None
    blocks: list[Made]
    #: Every transaction by its hash.
    raws: dict[str, str]
    #: Those that no block has, in the order of their arrival.
    waiting: dict[str, None]


def runs(blocks: Sequence[Made]) -> Iterator[list[Made]]:
    """Blocks that can be made at once: only the first has transactions, and the others follow at equal intervals."""
    run: list[Made] = []
    for block in blocks:
        even = len(run) < 2 or block.time - run[-1].time == run[1].time - run[0].time  # noqa: PLR2004 - an interval
        if run and (block.txs or not even):
            yield run
            run = []
        run.append(block)
    if run:
        yield run


class Journal:
    """The files of one folder. `write` returns when its lines are on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        #: Heights from which on everything can be made again, oldest first.
        self._bases: list[int] = [0]

    @property
    def floor(self) -> int:
        """What is up to this height can't be undone any more."""
        return self._bases[0]

    @property
    def kept(self) -> int:
        """The height of the newest state."""
        return self._bases[-1]

    def open(self) -> Past:
        """Read everything, and go on writing at the end; a line that was cut off by the end of a process never was."""
        files = sorted(self._folder.glob("blocks-*"))
        states = [_height(file) for file in sorted(self._folder.glob("state-*"))]
        if not files or not _height(files[0]):
            states.insert(0, 0)
        self._bases = states[-STATES_KEPT:]
        state = self._state(self.floor)
        past = Past(base=self.floor, state=state.read_bytes() if self.floor else None, blocks=[], raws={}, waiting={})
        for file in files:
            if _height(file) >= self.floor:
                for line in _lines(file):
                    _apply(past, line)
        self._open(files[-1] if files else self._blocks(0))
        return past

    def write(self, lines: Iterable[Line]) -> None:
        """Add lines."""
        whole = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
        while whole:
            whole = whole[os.write(self._file, whole) :]
        os.fsync(self._file)

    def keep(self, height: int, state: bytes, waiting: Iterable[tuple[str, str]]) -> None:
        """Keep a whole state, begin a new file, and let go of what only an older state needs."""
        # First the file: without its state it is read as one more part of the file before it.
        self._open(self._blocks(height))
        self.write(Line(tx=each) for each in waiting)
        new = self._folder / "new-state"
        with new.open("wb") as file:
            file.write(state)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._state(height))
        self._sync_folder()
        self._bases = [*self._bases, height][-STATES_KEPT:]
        for path in (*self._folder.glob("state-*"), *self._folder.glob("blocks-*")):
            if _height(path) < self.floor:
                path.unlink()

    def forget_states_after(self, height: int) -> None:
        """Blocks after it are about to be replaced, so a state that knows them is no base any more."""
        for base in [base for base in self._bases if base > height]:
            self._state(base).unlink()
        self._sync_folder()
        self._bases = [base for base in self._bases if base <= height]

    def close(self) -> None:
        """Let go of the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self, path: Path) -> None:
        self.close()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        end = path.read_bytes().rfind(b"\n") + 1
        os.ftruncate(self._file, end)
        self._sync_folder()

    def _blocks(self, height: int) -> Path:
        return self._folder / f"blocks-{height:08}.jsonl"

    def _state(self, height: int) -> Path:
        return self._folder / f"state-{height:08}"

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _height(path: Path) -> int:
    return int(path.name.partition("-")[2].partition(".")[0])


def _lines(path: Path) -> Iterator[Line]:
    *whole, _cut = path.read_bytes().split(b"\n")
    for line in whole:
        yield msgspec.json.decode(line, type=Line)


def _apply(past: Past, line: Line) -> None:
    if line.tx is not None:
        hashed, raw = line.tx
        past.raws[hashed] = raw
        if not any(hashed in block.txs for block in past.blocks):
            past.waiting[hashed] = None
    elif line.block is not None:
        past.blocks.append(line.block)
        for hashed in line.block.txs:
            past.waiting.pop(hashed, None)
    elif line.back is not None:
        gone = [block for block in past.blocks if block.height > line.back]
        past.blocks = [block for block in past.blocks if block.height <= line.back]
        again = dict.fromkeys(hashed for block in gone for hashed in block.txs)
        past.waiting = again | past.waiting
    for hashed in line.drop or ():
        past.waiting.pop(hashed, None)
