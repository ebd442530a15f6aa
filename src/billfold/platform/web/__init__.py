"""The HTTP edge: what every operation of the API has in common. The operations are in the contexts' `rest.py`.

    from billfold.platform.web import Answer, Call, Part, Route, operation

See README.md beside this file.
"""

from billfold.platform.messaging.notary import RefusedPart
from billfold.platform.web.addresses import Client
from billfold.platform.web.application import Part, build
from billfold.platform.web.authentication import Authenticator
from billfold.platform.web.gate import Again
from billfold.platform.web.lean import Answer, Call, Route
from billfold.platform.web.operations import PREFIX, Operation, operation
from billfold.platform.web.pages import Cursor, Limit, Page, page
from billfold.platform.web.policy import Access, Scopes
from billfold.platform.web.prefer import Preferences
from billfold.platform.web.sockets import Closed, Socket, SocketRoute
from billfold.platform.web.streaming import EVENT_STREAM, Streamed, Write

__all__ = [
    "EVENT_STREAM",
    "PREFIX",
    "Access",
    "Again",
    "Answer",
    "Authenticator",
    "Call",
    "Client",
    "Closed",
    "Cursor",
    "Limit",
    "Operation",
    "Page",
    "Part",
    "Preferences",
    "RefusedPart",
    "Route",
    "Scopes",
    "Socket",
    "SocketRoute",
    "Streamed",
    "Write",
    "build",
    "operation",
    "page",
]
