"""A figure, its target, and whether it was reached. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from bench.figures import significant


class Target(msgspec.Struct, frozen=True):
    """A bound on a row's measure, and the moonshot beyond it where there is one."""

    sense: Literal["≥", "≤"]
    bound: float
    unit: str
    moonshot: float | None = None

    def reached(self, measure: float) -> bool:
        """Whether the measure is on the right side of the bound."""
        return measure >= self.bound if self.sense == "≥" else measure <= self.bound

    def __str__(self) -> str:
        text = f"{self.sense} {_with_unit(self.bound, self.unit)}"
        return text if self.moonshot is None else f"{text} (moonshot {_with_unit(self.moonshot, self.unit)})"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    work: str
    value: float
    unit: str
    #: The value against a yardstick of the same run, such as the peak of pgbench.
    ratio: float | None = None
    #: Bounds the ratio where there is one, else the value.
    target: Target | None = None
    note: str = ""

    @property
    def figure(self) -> str:
        """The value with its unit."""
        return _with_unit(self.value, self.unit)

    @property
    def verdict(self) -> str:
        """Whether the target was reached, or by how much it was missed."""
        if self.target is None:
            return ""
        measure = self.value if self.ratio is None else self.ratio
        if not self.target.reached(measure):
            return f"missed: {measure / self.target.bound:.0%} of the bound"
        if self.target.moonshot is not None and msgspec.structs.replace(
            self.target, bound=self.target.moonshot
        ).reached(measure):
            return "moonshot reached"
        return "reached"


class Cost(msgspec.Struct, frozen=True):
    """Milliseconds of processor time for one operation, by who spent them."""

    api: float
    postgres: float
    worker: float
    nats: float

    @property
    def serving(self) -> float:
        """Until the caller has the answer."""
        return self.api + self.postgres

    @property
    def whole(self) -> float:
        """Until the event is published, too."""
        return self.serving + self.worker + self.nats

    def __str__(self) -> str:
        return (
            f"API {significant(self.api)} + PostgreSQL {significant(self.postgres)}; "
            f"with worker {significant(self.worker)} and NATS {significant(self.nats)}: {significant(self.whole)} ms"
        )


def cost(spent_s: Mapping[str, float], operations: int) -> Cost:
    """The cost of one of so many operations, of the seconds that each process spent on all."""
    each = {name: spent_s.get(name, 0.0) * 1000 / max(1, operations) for name in ("api", "postgres", "worker", "nats")}
    return Cost(**each)


def _with_unit(value: float, unit: str) -> str:
    return f"{significant(value)}{unit}" if unit in {"×", "%"} else f"{significant(value)} {unit}".rstrip()
