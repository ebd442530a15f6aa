"""Files of master keys, which every role needs."""

import tempfile
from functools import cache
from pathlib import Path

from billfold.platform.keys import local

#: It ends with the run.
_FOLDER = tempfile.TemporaryDirectory(prefix="master-keys-")


@cache
def shared() -> Path:
    """The file of all roles of this run: what one of them seals in a database, another must be able to open."""
    return file_in(Path(_FOLDER.name))


def file_in(folder: Path) -> Path:
    """The file in this folder, made if it is not there."""
    file = folder / "master.key"
    if not file.exists():
        local.create(file)
    return file
