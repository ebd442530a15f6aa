"""The message broker of the settings."""

from __future__ import annotations

from billfold.app import settings
from billfold.platform.messaging.brokers import nats
from billfold.platform.messaging.port import Messaging


def of(tree: settings.Settings) -> Messaging:
    """Where the broker is and who we are there; nothing is connected."""
    assert tree.nats.url is not None, "`billfold serve` asks for it"
    return nats.Server(url=tree.nats.url, user=tree.nats.user, password=tree.nats.password)
