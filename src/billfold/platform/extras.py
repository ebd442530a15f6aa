"""Client libraries that only those install who use their servers: the extras of the distribution."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from billfold.kernel import errors


class ExtraNotInstalled(errors.BillfoldError):
    """A part that the settings ask for is not installed."""

    code = "extra_not_installed"


@contextmanager
def imported(extra: str) -> Iterator[None]:
    """The block imports what comes with `extra`.

    Raises:
        ExtraNotInstalled: it is not there.
    """
    try:
        yield
    except ImportError as error:
        raise ExtraNotInstalled(
            f"The settings ask for what is not installed: pip install 'billfold[{extra}]'."
        ) from error
