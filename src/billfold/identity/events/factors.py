"""What happened to second factors, and what was done with them."""

from typing import Literal, get_args

FactorEventType = Literal[
    "factor.added.v1",
    "factor.removed.v1",
    "recovery_codes.renewed.v1",
    "recovery_code.used.v1",
    "second_factor.refused.v1",
    "passkey.cloned.v1",
    "step_up.approved.v1",
]
FACTOR_TYPES: tuple[FactorEventType, ...] = get_args(FactorEventType)
