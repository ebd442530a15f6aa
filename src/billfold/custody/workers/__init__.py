"""The duties of a worker for custody."""

from billfold.custody.workers.proving import prove
from billfold.custody.workers.reconciling import measure, reconcile
from billfold.custody.workers.watching import watch
from billfold.custody.workers.withdrawing import measure_keys, open_up, send, sweep, tend

__all__ = ["measure", "measure_keys", "open_up", "prove", "reconcile", "send", "sweep", "tend", "watch"]
