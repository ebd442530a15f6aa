"""The duties of a worker for custody."""

from billfold.custody.workers.watching import watch

__all__ = ["watch"]
