"""What has happened to whose things: the feed of each owner, as a list and as it happens. See README.md."""

from billfold.notifications.service import KEEP, Notifications, Stream, StreamLimits

__all__ = ["KEEP", "Notifications", "Stream", "StreamLimits"]
