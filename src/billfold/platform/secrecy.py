"""Keeps what a process has in memory from getting out of it by the ways that the kernel offers."""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from typing import NamedTuple

import structlog

#: Of prctl(2).
_PR_SET_DUMPABLE = 4
_PR_GET_DUMPABLE = 3
#: Of mlockall(2): the pages that there are, and those to come, each when it is first used.
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4

log = structlog.get_logger(__name__)


class Kept(NamedTuple):
    """What has been achieved."""

    #: No core file is written, and no other process of this user may read the memory or attach a debugger.
    undumpable: bool
    #: The memory is never written to swap.
    locked: bool


def keep() -> Kept:
    """Have the kernel write no core file of this process, let nobody else read its memory, and swap none of it out.

    The last takes a limit for locked memory that all of it fits under (RLIMIT_MEMLOCK, or CAP_IPC_LOCK); without one
    the process goes on, and says so.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    kept = Kept(undumpable=_undumpable(), locked=_locked())
    if not kept.undumpable:
        log.warning("other processes of this user may read the memory of this one; only Linux keeps them from it")
    if not kept.locked:
        log.warning(
            "memory may be swapped out: raise the limit of locked memory (systemd: LimitMEMLOCK=infinity), "
            "or encrypt the swap"
        )
    return kept


def _undumpable() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(libc.prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)


def _locked() -> bool:
    # With a limit that is too low, memory that is wanted later would be refused, and the process would end: so all or
    # nothing.
    unlimited = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY or os.geteuid() == 0
    if not unlimited or not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)
