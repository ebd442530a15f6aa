"""Operations that wait for a fresh factor of their user's."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from billfold.identity.contracts.factors import FactorMethod, Options


class StepUpChallenge(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that waits for its user's factor. The factor is good for this very content, once."""

    id: str
    operation: Annotated[str, Meta(description="What is to be done.", examples=["withdrawal"])]
    content: Annotated[
        Mapping[str, str],
        Meta(
            description="With what: show it before you ask for the factor.",
            examples=[{"amount": "1500.00", "asset": "USD"}],
        ),
    ]
    methods: list[FactorMethod]
    expires_at: Annotated[datetime, Meta(description="Until when it can be approved, and then used.")]
    approved_at: datetime | None = None
    #: For a passkey, which signs the content; null if there is none.
    passkey_options: Options | None = None
