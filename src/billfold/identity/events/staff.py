"""What those have done who look after people."""

from typing import Literal, get_args

StaffEventType = Literal["role.changed.v1"]
STAFF_TYPES: tuple[StaffEventType, ...] = get_args(StaffEventType)
