"""The service over the facade: it reads a message, calls the facade, and writes what it answers."""

from __future__ import annotations

import grpc

from billfold.ledger import Ledger
from billfold.ledger.rpc.moving import Moving
from billfold.ledger.rpc.telling import Telling
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.ledger.rpc.v1 import ledger_pb2_grpc as pb_grpc
from billfold.platform.rpc.serving import Stop
from billfold.platform.rpc.witness import Witness

#: The services, as health and reflection know them.
NAMES = (pb.DESCRIPTOR.services_by_name["LedgerService"].full_name,)
#: What changes something, so that the audit is told when it is refused.
COMMANDS = frozenset(
    f"/{NAMES[0]}/{name}"
    for name in (
        *("Post", "PostStream", "Void", "Reverse", "PlaceHold", "SettleHold", "ReleaseHold", "RefuseHold"),
        *("ExpireHolds", "OpenAccounts"),
    )
)


class Servicer(Moving, Telling, pb_grpc.LedgerServiceServicer):
    """Everything that the service can do."""

    def __init__(self, ledger: Ledger, stop: Stop, witness: Witness | None) -> None:
        self._ledger = ledger
        self._stop = stop
        self._witness = witness


def add(server: grpc.aio.Server, *, ledger: Ledger, stop: Stop, witness: Witness | None = None) -> None:
    """Let the server serve the ledger. A `witness` keeps an audit of what is refused."""
    pb_grpc.add_LedgerServiceServicer_to_server(Servicer(ledger, stop, witness), server)  # type: ignore[no-untyped-call]
