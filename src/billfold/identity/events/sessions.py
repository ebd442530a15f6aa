"""What happened to sessions."""

from typing import Literal, get_args

SessionEventType = Literal["session.started.v1", "session.ended.v1", "session.reuse_detected.v1"]
SESSION_TYPES: tuple[SessionEventType, ...] = get_args(SessionEventType)
