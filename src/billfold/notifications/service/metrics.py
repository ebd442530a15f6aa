"""What the streams of a process tell about themselves."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

OPEN = Gauge("billfold_streams_open", "Streams of events (SSE and WebSocket) that this process has open.")
ENDED = Counter("billfold_streams_ended", "Streams that this process has ended, by the code of the reason.", ["code"])
