"""Seeds that leave the signer, sealed for somebody."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billfold.kernel import forms

#: Asking for a seed takes these. Treasurers have both, and no API key carries the first.
EXPORT_NEEDS = ("approvals:write", "withdrawals:write")
REASON_MAX = 500


class NewKeyExport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which seed, and for whom."""

    recipient: Annotated[
        str,
        Meta(
            description="The public key of whom it is sealed for (X25519, 64 hexadecimal digits), which the signer's "
            "own policy must name.",
            pattern=r"^[0-9a-f]{64}$",
        ),
    ]
    reason: Annotated[
        str,
        Meta(description="Why, for the one who approves.", min_length=1, max_length=REASON_MAX, pattern=forms.NO_NUL),
    ]


class KeyExport(msgspec.Struct, frozen=True, kw_only=True):
    """A seed that was given out."""

    id: Annotated[str, Meta(description="That of the approval.")]
    chain: str
    recipient: str
    approved_at: datetime | None
    package: Annotated[
        str, Meta(description="JSON for `billfold signer open-export`: nobody but the recipient can open it.")
    ]


class KeyExported(msgspec.Struct, frozen=True, kw_only=True):
    """What the audit keeps of it."""

    chain: str
    network: str
    tree: str
    recipient: str
    reason: str
