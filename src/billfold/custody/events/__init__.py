"""What happened to money on chains. Fields of a payload are only ever added within a version."""

from collections.abc import Mapping

import msgspec

from billfold.custody.events import deposits, reconciling, treasury, withdrawals
from billfold.custody.events.deposits import SOURCE

PAYLOADS: Mapping[str, type[msgspec.Struct]] = {
    **deposits.PAYLOADS,
    **withdrawals.PAYLOADS,
    **reconciling.PAYLOADS,
    **treasury.PAYLOADS,
}
#: What the audit keeps in the place of the data of events.
FACTS: Mapping[str, type[msgspec.Struct]] = {}
TYPES = tuple(PAYLOADS)

__all__ = ["FACTS", "PAYLOADS", "SOURCE", "TYPES"]
