"""The ledger over gRPC: `services` serves a facade, and `RemoteLedger` is one that calls such servers.

`proto/billfold/ledger/v1/ledger.proto` says what is spoken; `v1` is the Python of it, with a stub for other programs.
"""

from billfold.ledger.rpc.remote import RemoteLedger, connected
from billfold.ledger.rpc.servicer import COMMANDS, NAMES, add

__all__ = ["COMMANDS", "NAMES", "RemoteLedger", "add", "connected"]
