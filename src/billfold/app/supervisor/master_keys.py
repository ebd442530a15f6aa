"""The file of master keys of a data folder: it is made once, and never where it would stand for one that was lost."""

from __future__ import annotations

from pathlib import Path

from billfold.app import settings
from billfold.platform.keys import local
from billfold.platform.postgres import sealed

#: The file of master keys in a data folder.
NAME = "master.key"
#: Below a data folder, what the signer alone needs: its socket, and master keys of its own.
SIGNER_FOLDER = "signer"


def file_of(tree: settings.Settings) -> Path:
    """The file that is set, or that of the data folder. The latter may not be there yet; one that is there is good.

    Raises: KeyFileInvalid.
    """
    file = tree.keys.file
    if file is not None:
        local.load(file)
        return file
    if (file := tree.data_dir / NAME).exists():
        local.load(file)
    return file


async def make_missing(file: Path, owner_dsn: str) -> None:
    """Make the file, unless it is there, beside a database that runs.

    A database that an older version has made has no secrets yet, and gets its file now. Where something is sealed, a
    new file would open nothing of it: somebody has to decide.

    Raises: KeyFileInvalid.
    """
    if file.exists():  # noqa: ASYNC240 - once, at the start.
        return
    if await sealed.anything(owner_dsn):
        raise local.KeyFileInvalid(
            f"{file} is missing, and what is sealed in the database opens with nothing else: put it back from your "
            f"backup. If it is lost for ever, so are those secrets: `billfold keys create-master {file}` makes another."
        )
    local.create(file)
