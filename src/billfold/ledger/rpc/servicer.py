"""The service over the facade: it reads a message, calls the facade, and writes what it answers."""

from __future__ import annotations

import grpc

from billfold.ledger import Ledger
from billfold.ledger.rpc.moving import Moving
from billfold.ledger.rpc.telling import Telling
from billfold.ledger.rpc.v1 import ledger_pb2 as pb
from billfold.ledger.rpc.v1 import ledger_pb2_grpc as pb_grpc
from billfold.platform.rpc.serving import Stop

#: The services, as health and reflection know them.
NAMES = (pb.DESCRIPTOR.services_by_name["LedgerService"].full_name,)


class Servicer(Moving, Telling, pb_grpc.LedgerServiceServicer):
    """Everything that the service can do."""

    def __init__(self, ledger: Ledger, stop: Stop) -> None:
        self._ledger = ledger
        self._stop = stop


def add(server: grpc.aio.Server, *, ledger: Ledger, stop: Stop) -> None:
    """Let the server serve the ledger."""
    pb_grpc.add_LedgerServiceServicer_to_server(Servicer(ledger, stop), server)  # type: ignore[no-untyped-call]
