"""The duties of a worker for custody."""

from billfold.custody.workers.watching import watch
from billfold.custody.workers.withdrawing import send, sweep

__all__ = ["send", "sweep", "watch"]
