"""A file of master keys, which every role needs."""

from pathlib import Path

from billfold.platform.keys import local


def file_in(folder: Path) -> Path:
    """The file in this folder, made if it is not there."""
    file = folder / "master.key"
    if not file.exists():
        local.create(file)
    return file
