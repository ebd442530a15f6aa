"""What a run of the crash tests has done so far, told while it runs and at its end."""

from __future__ import annotations

import os
import random
import resource
import time
from collections import Counter

KILLS = int(os.environ.get("BILLFOLD_KILLS", "20"))
SEED = int(os.environ.get("BILLFOLD_SEED", random.randrange(1 << 32)))
#: More than the tests of every day: what takes its time may take it.
AT_LENGTH = KILLS > 20
PROGRESS_S = 10.0


class Tally:
    """Counts kills, and what the audits have found."""

    def __init__(self) -> None:
        self.kills: Counter[str] = Counter()
        self.found: Counter[str] = Counter()
        self._began = self._told = 0.0

    def killed(self, part: str) -> None:
        """Count a kill, and now and then say how far we are."""
        self.kills[part] += 1
        done, now = self.kills.total(), time.monotonic()
        if done == 1:
            self._began = self._told = now
        if now - self._told >= PROGRESS_S:
            self._told = now
            pace_s = (now - self._began) / (done - 1)
            left_min = (KILLS - done) * pace_s / 60
            print(  # noqa: T201 - seen with -s, as `make torture` runs it.
                f"{done} of {KILLS} kills, {60 / pace_s:.0f} a minute, {left_min:.0f} min left", flush=True
            )

    def summary(self) -> list[str]:
        """What was done and found, in lines."""
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        return [
            f"seed {SEED}; killed: {_told(self.kills) or 'none'}",
            f"found: {_told(self.found) or 'nothing'}",
            f"this process took {peak_mb} MB at most",
        ]


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items())


tally = Tally()
