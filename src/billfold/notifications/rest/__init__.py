"""Routes of the notifications: translate, call the facade, no decision."""

from billfold.notifications import Notifications
from billfold.notifications.rest import events, sockets, streams
from billfold.platform import web

__all__ = ["part"]


def part(facade: Notifications) -> web.Part:
    """What notifications add to the API."""
    return web.Part(
        handlers=[*events.handlers, *streams.handlers, *sockets.handlers],
        sockets=[sockets.route(facade)],
        dependencies={"notifications": facade},
    )
