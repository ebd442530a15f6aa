"""The idempotency keys of what custody asks of the ledger.

Each follows from a durable row, so a repeat posts nothing.
"""

from __future__ import annotations

from uuid import UUID

from billfold.kernel import idempotency
from billfold.kernel.idempotency import Key

#: In whose name custody asks; no owner has this id.
CUSTODY = UUID("c0570d00-0000-7000-8000-000000000000")


def key(step: str, subject: UUID, *numbers: int) -> Key:
    """The key of a step of what this id stands for, which is taken once for the same numbers."""
    content = ":".join([str(subject), *map(str, numbers)])
    return idempotency.key_of_content(owner=CUSTODY, operation=f"custody.{step}", content=content.encode())
