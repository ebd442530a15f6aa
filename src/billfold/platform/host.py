"""The machine we run on: private files, free ports, and the unprivileged user that servers run as under root.

What a child program is and how it ends lives in `children`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import secrets
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from billfold.kernel import errors

#: Below the range from which Linux and macOS take the source ports of outgoing connections, so that a port found
#: free now isn't lost to some client's connection before the server binds it.
FREE_PORTS = range(20_000, 32_000)
FREE_PORT_TRIES = 200

#: Says whose a data folder is, so that nobody's home is ever taken, closed or reset for one.
FOLDER_MARK = ".billfold"

SECRET_BYTES = 32

#: Accounts that exist on nearly every system, have no rights and own no secrets. The first that exists is taken.
UNPRIVILEGED_ACCOUNTS = ("postgres", "nobody")


class NoUnprivilegedUser(errors.Unavailable):
    """There is no ordinary account that the servers could run as under root; start Billfold as another user."""

    code = "no_unprivileged_user"


class FolderForeign(errors.BillfoldError):
    """The folder holds files that are not Billfold's."""

    code = "folder_foreign"


class FolderExposed(errors.BillfoldError):
    """Others than you may enter the data folder."""

    code = "folder_exposed"


class NoFreePort(errors.Unavailable):
    """No free TCP port was found on 127.0.0.1; set the ports in the settings."""

    code = "no_free_port"


@dataclass(frozen=True, slots=True)
class ServerUser:
    """The account that a server runs as when we are root."""

    uid: int
    gid: int


class PortTaken(errors.Unavailable):
    """A port is taken by another program; stop that program or set another port."""

    code = "port_taken"


def server_user(folder: Path) -> ServerUser | None:
    """Who a server with its files in `folder` runs as: nobody else than us, unless we are root.

    A folder that exists keeps its owner, so a stack doesn't change hands when an account is added to the system.

    Raises: NoUnprivilegedUser.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists() and folder.stat().st_uid != 0:
        return ServerUser(uid=folder.stat().st_uid, gid=folder.stat().st_gid)
    for name in UNPRIVILEGED_ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(uid=account.pw_uid, gid=account.pw_gid)
    raise NoUnprivilegedUser


def claim_folder(path: Path) -> None:
    """Make `path`, or an empty folder there, a data folder: marked as ours, and only we may enter it.

    Raises: FolderForeign, FolderExposed.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not any(path.iterdir()):
        path.chmod(0o700)
        write_private(path / FOLDER_MARK, "This folder belongs to Billfold; `billfold reset` removes all of it.\n")
    check_folder(path)


def check_folder(path: Path) -> None:
    """Whether an existing folder can be the data folder.

    Raises: FolderForeign, FolderExposed.
    """
    if any(path.iterdir()) and not (path / FOLDER_MARK).exists():
        raise FolderForeign(f"{path} holds files that are not Billfold's; choose an empty folder for its data.")
    if path.stat().st_mode & 0o077:
        raise FolderExposed(f"Others than you may enter the data folder {path}; run `chmod 700 {path}`.")


def private_folder(path: Path, *, user: ServerUser | None = None) -> Path:
    """`path` as a folder that only its owner may enter, made where it is missing. Its parents keep their modes."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if user is not None:
        os.chown(path, user.uid, user.gid)
    path.chmod(0o700)
    return path


def write_private(path: Path, text: str, *, user: ServerUser | None = None) -> None:
    """Write a file that only its owner may read, so that a crash leaves either the old or the new one whole.

    One that is there already is left alone: a server can be started again while the disk is full.
    """
    if _is_private(path) and path.read_text(encoding="utf-8") == text:
        return
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
        if user is not None:
            os.fchown(fd, user.uid, user.gid)
    draft.replace(path)
    sync_folder(path.parent)


def kept_secret(path: Path) -> str:
    """The secret in this file, which is made once, so that other programs which were given it can go on using it."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(SECRET_BYTES))
    return path.read_text(encoding="ascii")


def _is_private(path: Path) -> bool:
    return path.is_file() and path.stat().st_mode & 0o077 == 0


@contextlib.contextmanager
def known_as(path: Path, user: ServerUser | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The name under which a program run by `user` can open `path`, and the descriptors it needs for that.

    An unprivileged user may not enter the folders above `path`, and they are not ours to open up. A descriptor opened
    by root leads there all the same, and to nothing else.

    Raises: NoUnprivilegedUser.
    """
    if user is None:
        yield str(path), ()
        return
    if not Path("/proc/self/fd").is_dir():
        raise NoUnprivilegedUser("As root the embedded servers need Linux; start Billfold as an ordinary user.")
    fd = os.open(path, os.O_PATH)
    try:
        yield f"/proc/self/fd/{fd}", (fd,)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable: a rename is lost in a power cut until its folder is synced."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def free_port(*, besides: Collection[int] = ()) -> int:
    """A TCP port that nothing on 127.0.0.1 listens on now, and none of those that are given away already.

    Raises: NoFreePort.
    """
    for _ in range(FREE_PORT_TRIES):
        port = random.choice(FREE_PORTS)  # noqa: S311 - chance spreads the ports of parallel stacks; nothing is secret.
        if port not in besides and port_is_free(port):
            return port
    raise NoFreePort


def checked_port(wanted: int) -> int:
    """The port, when it is free.

    Raises: PortTaken.
    """
    if not port_is_free(wanted):
        raise PortTaken(f"Port {wanted} is taken by another program; stop that program or set another port.")
    return wanted


def port_is_free(port: int) -> bool:
    """Whether a server could listen on the port now, on 127.0.0.1 and on all addresses alike."""
    for address in ("127.0.0.1", "0.0.0.0"):  # noqa: S104 - nothing is let in: the socket never listens.
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As every server does: a port whose last connections linger in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
