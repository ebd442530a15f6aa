"""What others must know of a running stack: that it runs, as which process, where it listens and how to get in.

The lock says whether it runs; the file `stack.json`, which only its owner may read, says the rest. A stack that was
killed leaves the file behind, so it is worth nothing without the lock.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from billfold.app import settings
from billfold.app.settings import Settings
from billfold.kernel import errors
from billfold.platform import children, host

LOCK = "up.lock"
_FILE = "stack.json"
_ADDRESS = "api.url"
#: Much longer than another process holds the lock only to see whether it is free.
_PROBE_S = 0.2


#: Settings that say where other servers are, and who we are there.
_OTHER_SERVERS = (
    "broker.",
    "kafka.",
    "rabbitmq.",
    "balances.redis_url",
    "limits.redis_url",
    "history.",
    "audit.sinks.",
)
#: What `billfold status` does not show. (The sandbox key is made to be shown.)
SECRETS = frozenset(
    {
        "postgres_dsn",
        "postgres_owner_dsn",
        "postgres_readonly_dsn",
        "audit_dsn",
        "audit_owner_dsn",
        "nats_password",
        "settings",
    }
)


#: For whoever meets the key of the stack when it has been revoked.
NEW_KEY_ADVICE = "`billfold down` and then `billfold up` make a new one."


class NotRunning(errors.Unavailable):
    """No stack runs in this data folder; start one with `billfold up`."""

    code = "not_running"


class AlreadyRunning(errors.Conflict):
    """A stack already runs in this data folder."""

    code = "already_running"


class StackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A running stack."""

    pid: int
    started_at: str
    version: str
    data_dir: str
    api_url: str
    #: The certificate by which to know the API, where its address is an https one.
    tls_certificate: str | None = None
    docs_url: str
    #: Where people look after their accounts.
    account_url: str
    metrics_urls: dict[str, str]
    #: Where mails can be read; none where a mail server is set.
    mail_sink_url: str | None = None
    #: Where the master keys are.
    keys_file: str
    api_key: str
    #: A curl that moves money.
    example: str
    postgres_dsn: str
    postgres_owner_dsn: str
    postgres_readonly_dsn: str
    audit_dsn: str
    audit_owner_dsn: str
    #: None where the settings name another broker.
    nats_url: str | None
    nats_user: str | None
    nats_password: str | None
    #: As `billfold up --profile` was told.
    profile: str = "minimal"
    #: Where each part listens, but for the databases.
    addresses: dict[str, str] = {}
    #: What belongs to the profile and is not there, and why.
    left_out: dict[str, str] = {}
    #: What nobody waits for and is not ready yet.
    starting: list[str] = []
    #: By which the roles find other servers, with the credentials: those that the profile has added and those that were
    #: named for this start. A command in another terminal needs them, too.
    settings: dict[str, str | int | float | bool] = {}
    processes: dict[str, int]

    def over(self, tree: Settings) -> Settings:
        """The settings with those in their place by which this stack finds other servers.

        Raises: SettingInvalid.
        """
        return settings.replaced(tree, settings.converted(self.settings, _FILE))

    def shown_settings(self) -> dict[str, object]:
        """As `billfold status` shows them: without passwords."""
        shown = dict(settings.leaves(self.over(Settings())))
        return {key: shown[key] for key in self.settings}


@contextlib.contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold the data folder: one stack at a time.

    Raises: AlreadyRunning, FolderForeign, FolderExposed.
    """
    host.claim_folder(data_dir)
    lock = _lock(data_dir / LOCK)
    if lock is None:
        raise AlreadyRunning(
            f"A stack already runs in {data_dir} as process {children.holder(data_dir / LOCK)}; "
            "`billfold status` shows it and `billfold down` stops it."
        )
    try:
        children.sign(lock, os.getpid())
        yield
    finally:
        (data_dir / _FILE).unlink(missing_ok=True)
        os.close(lock)


def claim_port(port: int) -> int | None:
    """Hold a lock on the port among the stacks of this user, whatever their folders; None when another one holds it.

    Raises: OSError.
    """
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    folder = state / "billfold" / "ports"
    folder.mkdir(parents=True, exist_ok=True)
    return children.try_lock(folder / f"{port}.lock")


def running_pid(data_dir: Path) -> int | None:
    """The process that runs the stack of this folder, or None."""
    path = data_dir / LOCK
    if not path.exists():
        return None
    lock = children.try_lock(path)
    if lock is not None:
        os.close(lock)
        return None
    return children.holder(path)


def _lock(path: Path) -> int | None:
    deadline = time.monotonic() + _PROBE_S
    # Whoever only asks whether a stack runs holds the lock for an instant.
    while (lock := children.try_lock(path)) is None and time.monotonic() < deadline:
        time.sleep(_PROBE_S / 20)
    return lock


def was_killed(data_dir: Path) -> bool:
    """Whether the last stack of this folder, which doesn't run now, could not stop cleanly."""
    return (data_dir / _FILE).exists()


def program_locks(data_dir: Path) -> list[Path]:
    """The locks that programs of the stack hold while they run, or held. What a profile adds has its own inside."""
    inside = (folder / f"{folder.name}.lock" for folder in data_dir.glob("*") if folder.is_dir())
    locks = {lock for lock in data_dir.glob("*.lock") if lock.name != LOCK}
    return sorted(locks | {lock for lock in inside if lock.is_file()})


def leftovers(data_dir: Path) -> list[str]:
    """Programs of a stack that was killed, with their processes, which still run."""
    return [f"{lock.stem} {held}" for lock in program_locks(data_dir) if (held := _held_by(lock)) is not None]


def _held_by(lock: Path) -> int | None:
    """The process that holds it. Only a program that we have started does: it has the open file from us."""
    fd = children.try_lock(lock)
    if fd is None:
        return children.holder(lock)
    os.close(fd)
    return None


def write(data_dir: Path, record: StackRecord) -> None:
    """Tell the others. The file is replaced as a whole, so nobody reads half of it."""
    host.write_private(data_dir / _FILE, msgspec.json.format(msgspec.json.encode(record)).decode())


def replace_address(data_dir: Path, url: str) -> str | None:
    """Keep the API's address beyond this run, and return the one before if it was another."""
    file = data_dir / _ADDRESS
    before = file.read_text(encoding="utf-8") if file.exists() else url
    host.write_private(file, url)
    return before if before != url else None


def read(data_dir: Path) -> StackRecord:
    """The running stack of this folder.

    Raises: NotRunning when there is none, or it is still starting.
    """
    if running_pid(data_dir) is None:
        raise NotRunning(f"No stack runs in {data_dir}; start one with `billfold up`.")
    try:
        return msgspec.json.decode((data_dir / _FILE).read_bytes(), type=StackRecord)
    except FileNotFoundError as error:
        raise NotRunning(f"The stack in {data_dir} is still starting; try again in a moment.") from error


def named(loaded: settings.Loaded) -> dict[str, Any]:
    """What was set of servers that are not the stack's own. Whoever comes from another terminal may not have set it."""
    values = dict(settings.leaves(loaded.settings, masked=False))
    return _told({key: values[key] for key in loaded.sources if key.startswith(_OTHER_SERVERS)})


def signer_of(tree: Settings) -> dict[str, Any]:
    """What commands of this machine need to know of the stack's own signer."""
    values = settings.leaves(tree.signer, masked=False)
    return _told({f"signer.{key}": value for key, value in values if value is not None})


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
