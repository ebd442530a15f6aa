"""The duties of a worker for custody."""

from billfold.custody.workers.watching import watch
from billfold.custody.workers.withdrawing import open_up, send, sweep

__all__ = ["open_up", "send", "sweep", "watch"]
