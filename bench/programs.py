"""Running a program to its end, and never leaving it behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

#: A program that was asked to stop and does not is killed after this.
STOP_TIMEOUT_S = 10.0


class ProgramFailed(Exception):
    """A program of the bench ended with an error."""


async def run(command: Sequence[str], *, env: Mapping[str, str], timeout_s: float) -> str:
    """Standard output of the program, once it has ended well.

    Raises: ProgramFailed.
    """
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate()
    except TimeoutError:
        raise ProgramFailed(f"{command[0]} has not ended within {timeout_s:.0f} seconds") from None
    finally:
        await stop(process)
    if process.returncode != 0:
        raise ProgramFailed(f"{command[0]} ended with {process.returncode}: {errors.decode().strip()}")
    return output.decode()


async def stop(process: asyncio.subprocess.Process) -> None:
    """End the program if it still runs."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
