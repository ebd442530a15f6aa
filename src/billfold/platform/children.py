"""Child programs: started, listened to, stopped, and never outliving the process that started them.

Three small mechanisms, each of which needs nothing from the child:

- A *leash*, a shell of a few lines that reads the child's pid from a pipe and stops the child when the pipe closes,
  that is, when we end in whatever way, SIGKILL included. (PR_SET_PDEATHSIG would fire when the thread that forked
  ends, is cleared by a change of user, and is known to Linux alone.)
- A *lock file* that the child holds open, and its own children too: as long as any of them lives the lock is taken, and
  when it is free, none does. No pid file is ever believed.
- Its *log*: standard output and error together, line by line.

What to start and when to start it again is the supervisor's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from billfold.kernel import errors
from billfold.platform.host import ServerUser

LogLine = Callable[[str], None]

#: A line longer than this is cut in pieces; a child that writes without end can't fill our memory.
LOG_LINE_MAX_BYTES = 64 * 1024
#: What is kept to explain why a child ended.
LAST_LINES = 20
#: What a program wrote before its end is in the pipe by then; a grandchild that holds it open is not waited for.
LOG_END_TIMEOUT_S = 1.0
#: From SIGKILL to the end of the last process of a group: freeing the memory of a big process takes a moment.
KILL_TIMEOUT_S = 10.0
POLL_S = 0.02

#: Of the largest pid of any system, 2^31.
_PID_WIDTH = 10

#: `$1` is how often, ten times a second, the leash looks whether the child has gone before it kills it.
_LEASH = """
while read -r s p; do stop=$s; pid=$p; done
[ -n "$pid" ] || exit 0
kill -s "$stop" "$pid" || exit 0
n=0
while kill -s 0 "$pid"; do
  n=$((n + 1))
  if [ "$n" -gt "$1" ]; then kill -s KILL -- "-$pid"; exit 0; fi
  sleep 0.1
done
"""


class ChildFailed(errors.Unavailable):
    """A program of the stack ended or did not become ready."""

    code = "child_failed"


class LeftoverProcess(errors.Unavailable):
    """A process of an earlier stack still runs in this data folder and can't be stopped."""

    code = "leftover_process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, and how it is asked to stop."""

    name: str
    command: Sequence[str]
    lock: Path
    #: Asks for a clean end. The leash sends it too.
    stop_signal: signal.Signals = signal.SIGTERM
    #: How long a clean end may take before the program is killed.
    stop_timeout_s: float = 10.0
    env: Mapping[str, str] | None = None
    folder: Path | None = None
    user: ServerUser | None = None
    #: Descriptors that the program finds open under the same numbers.
    fds: Sequence[int] = ()


@dataclass(slots=True, kw_only=True)
class Child:
    """A running program. Made by `start`."""

    program: Program
    process: asyncio.subprocess.Process
    last_lines: deque[str]
    _leash: asyncio.subprocess.Process
    _log: asyncio.Task[None]

    @property
    def pid(self) -> int:
        """The process id; it stays valid until `wait` has returned."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the program has not ended yet."""
        return self.process.returncode is None

    async def wait(self) -> int:
        """The exit code, negative for a signal, once the program has ended and its log is read to the end."""
        code = await self.process.wait()
        await _end(self._leash)
        await asyncio.wait([self._log], timeout=LOG_END_TIMEOUT_S)
        self._log.cancel()
        return code

    async def stop(self) -> int:
        """Ask for a clean end, and kill what does not come to one in time."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.program.stop_signal)
        try:
            async with asyncio.timeout(self.program.stop_timeout_s):
                await self.process.wait()
        except TimeoutError:
            _signal_all(self.pid, signal.SIGKILL)
        return await self.wait()

    def failure(self, what: str) -> ChildFailed:
        """The error that tells what happened, with the program's own last words."""
        words = "; ".join(line.strip() for line in self.last_lines if line.strip()) or "it wrote nothing"
        return ChildFailed(f"{self.program.name} {what}. Its last words: {words}")


async def start(program: Program, *, on_line: LogLine) -> Child:
    """Start `program` once nothing of its last run is left.

    Raises: LeftoverProcess; ChildFailed when it can't be started at all.
    """
    lock = await take_over(program.lock, stop_signal=program.stop_signal, timeout_s=program.stop_timeout_s)
    try:
        # Once before the start, so that a full disk is met while there is no child yet.
        sign(lock, os.getpid())
        leash = await _leash(program)
        log, log_end = os.pipe()
        try:
            process = await _spawn(program, lock, log_end)
        except BaseException as error:
            os.close(log)
            await _end(leash)
            if isinstance(error, OSError):
                raise ChildFailed(f"{program.name} can't be started: {error}") from error
            raise
        finally:
            os.close(log_end)
        _tell(leash, program.stop_signal, process.pid)
        sign(lock, process.pid)
    finally:
        os.close(lock)
    last_lines: deque[str] = deque(maxlen=LAST_LINES)
    reading = asyncio.create_task(_read_log(log, last_lines, on_line))
    return Child(program=program, process=process, last_lines=last_lines, _leash=leash, _log=reading)


async def take_over(lock: Path, *, stop_signal: signal.Signals, timeout_s: float) -> int:
    """The descriptor of `lock`, held; whoever holds it is an orphan and is stopped first.

    Raises: LeftoverProcess.
    """
    for number, patience_s in ((stop_signal, timeout_s), (signal.SIGKILL, KILL_TIMEOUT_S)):
        deadline = asyncio.get_running_loop().time() + patience_s
        asked = False
        while (fd := try_lock(lock)) is None:
            pid = holder(lock)
            if not asked and pid is not None:
                asked = True
                _signal_all(pid, number)
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(POLL_S)
        else:
            return fd
    raise LeftoverProcess(f"{lock.name} is still held by process {holder(lock)}; end that process and try again")


async def end_leftover(lock: Path, *, stop_signal: signal.Signals, timeout_s: float) -> None:
    """Stop what an earlier stack, killed before it could, has left running.

    Raises: LeftoverProcess.
    """
    os.close(await take_over(lock, stop_signal=stop_signal, timeout_s=timeout_s))


def try_lock(path: Path) -> int | None:
    """The descriptor of the locked file, or None when another process holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def sign(lock: int, pid: int) -> None:
    """Write the holder's pid into its lock file, always over the same bytes, so that it takes no further disk."""
    os.pwrite(lock, f"{pid:<{_PID_WIDTH}}\n".encode("ascii"), 0)


def holder(path: Path) -> int | None:
    """The pid that the holder of a lock file wrote into it. Worth nothing when the lock is free."""
    text = path.read_text(encoding="ascii").strip()
    return int(text) if text.isdecimal() else None


async def _spawn(program: Program, lock: int, log_end: int) -> asyncio.subprocess.Process:
    """Start the process.

    Its log is a pipe of our own: asyncio tells of the end of a process only when all pipes that asyncio made for it
    are closed, and a grandchild may hold them open for ever.
    """
    user = program.user
    return await asyncio.create_subprocess_exec(
        *program.command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log_end,
        stderr=log_end,
        env=program.env,
        cwd=program.folder,
        pass_fds=(lock, *program.fds),
        umask=0o077,
        # Ctrl-C in the terminal reaches the supervisor alone, which then stops its children in order.
        start_new_session=True,
        user=None if user is None else user.uid,
        group=None if user is None else user.gid,
        extra_groups=None if user is None else [],
    )


async def _leash(program: Program) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", _LEASH, f"billfold-leash-{program.name}", str(int(program.stop_timeout_s * 10))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


def _tell(leash: asyncio.subprocess.Process, stop_signal: signal.Signals, pid: int) -> None:
    assert leash.stdin is not None
    leash.stdin.write(f"{stop_signal.name.removeprefix('SIG')} {pid}\n".encode())


async def _end(leash: asyncio.subprocess.Process) -> None:
    """End a leash before its pipe closes, so that it doesn't signal a pid that another process may have by now."""
    if leash.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            leash.kill()
    await leash.wait()


def _signal_all(pid: int, number: signal.Signals) -> None:
    """Signal the program and the processes it has started in its session, which may have outlived it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


async def _read_log(log: int, last_lines: deque[str], on_line: LogLine) -> None:
    stream = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(log, "rb", buffering=0)
    )
    try:
        await _read_lines(stream, last_lines, on_line)
    finally:
        transport.close()


async def _read_lines(stream: asyncio.StreamReader, last_lines: deque[str], on_line: LogLine) -> None:
    rest = b""
    while chunk := await stream.read(LOG_LINE_MAX_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) >= LOG_LINE_MAX_BYTES:
            lines.append(rest)
            rest = b""
        for line in lines:
            text = line.decode(errors="replace").rstrip()
            last_lines.append(text)
            on_line(text)
    if rest:
        on_line(rest.decode(errors="replace"))
