"""Server programs that come in Python wheels: where they are, and a copy that an unprivileged user may run.

Only files of the wheels are used. None of their Python code is imported: the life of a server is ours.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
from pathlib import Path

from billfold.kernel import errors
from billfold.platform.host import ServerUser, sync_folder

#: Owned by root and readable by all, for when the virtual environment lies where only root may look.
SHARED_CACHE = Path("/var/cache/billfold")


class ServerNotInstalled(errors.Unavailable):
    """The embedded servers are not installed; run `pip install 'billfold[embedded]'`, or set the DSNs of your own."""

    code = "server_not_installed"


def package_folder(name: str) -> Path:
    """Where an installed package lies; it is found without being imported.

    Raises: ServerNotInstalled.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ServerNotInstalled
    return Path(spec.submodule_search_locations[0]).resolve()


def wheel_file(distribution: str, ending: str) -> Path:
    """The installed file of a distribution whose path ends so; for wheels that hold no package.

    Raises: ServerNotInstalled.
    """
    try:
        files = importlib.metadata.files(distribution) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise ServerNotInstalled from error
    for file in files:
        if str(file).endswith(ending):
            return Path(str(file.locate())).resolve()
    raise ServerNotInstalled(f"the package {distribution} is installed, but {ending} is not in it; install it again")


def reachable_by(path: Path, user: ServerUser) -> bool:
    """Whether `user` may enter every folder on the way to `path` and read what it names."""

    def allows(place: Path, wanted: int) -> bool:
        seen = place.stat()
        shift = 6 if seen.st_uid == user.uid else 3 if seen.st_gid == user.gid else 0
        return (seen.st_mode >> shift) & wanted == wanted

    return all(allows(folder, 0o1) for folder in path.parents) and allows(path, 0o5)


def shared_copy(root: Path, parts: tuple[str, ...], *, name: str) -> Path:
    """A copy of `parts` of the folder `root` that all may read and only root may change, made once per `name`."""
    copy = SHARED_CACHE / name
    if copy.is_dir():
        return copy
    SHARED_CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    draft = SHARED_CACHE / f"{name}.new-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    for part in parts:
        _copy(root / part, draft / part)
    for place in (draft, *draft.rglob("*")):
        place.chmod(0o755)
    try:
        draft.rename(copy)
    except OSError:
        # Another stack made the same copy meanwhile; its copy is as good.
        if not copy.is_dir():
            raise
        shutil.rmtree(draft)
    sync_folder(SHARED_CACHE)
    return copy


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def version(distribution: str) -> str:
    """The installed version.

    Raises: ServerNotInstalled.
    """
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise ServerNotInstalled from error
