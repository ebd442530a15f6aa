"""How soon an ended program is started again, and when that is given up. No clock and no process here."""

from __future__ import annotations

from billfold.kernel import errors

#: A program that ends sooner than this after it was ready has not really come up.
EARLY_END_S = 1.0
#: With the pauses below it is tried for half a minute: long enough for a port or some disk to be freed.
EARLY_ENDS_MAX = 12
PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 5.0


class GaveUp(errors.Unavailable):
    """A program of the stack ends again and again."""

    code = "gave_up"


class Restarts:
    """Counts the early ends of one program in a row."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._early_ends = 0

    def pause_s(self, *, ready_for_s: float) -> float:
        """How long to wait before the next start, after a run that was ready for so long (0 if it never was).

        The first restart is at once, since one crash says nothing; each further early end doubles the pause.

        Raises: GaveUp.
        """
        self._early_ends = self._early_ends + 1 if ready_for_s < EARLY_END_S else 0
        if self._early_ends >= EARLY_ENDS_MAX:
            raise GaveUp(
                f"{self._name} ended {self._early_ends} times in a row soon after its start; see its log above."
            )
        if self._early_ends <= 1:
            return 0.0
        return min(PAUSE_FIRST_S * 2.0 ** (self._early_ends - 2), PAUSE_MAX_S)
