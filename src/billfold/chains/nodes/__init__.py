"""How a chain's nodes are told to an adapter, and how they are spoken to.

`Nodes` says which there are. `rpc.Rpc` speaks JSON-RPC with them and `rest.Rest` REST: they choose the best node for a
read, go on to the next when one is away or says what can't be, and ask as many as the quorum wants where an answer
decides about money. `reading` reads what came back. Addresses of nodes may have credentials in them, so nothing here
shows one: a node is called by its number and host.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from billfold.chains.port import Network

#: A node that takes longer for one answer is as good as gone.
TIMEOUT_S = 10.0


class Nodes(msgspec.Struct, frozen=True, kw_only=True):
    """The nodes of one chain, and what is known of it beforehand."""

    network: Network
    #: Addresses of their interfaces, with credentials where they ask for any: never logged or shown.
    urls: Sequence[str]
    #: So many must say the same of what decides about money.
    quorum: int = 1
    #: The contracts, mints, or CODE:ISSUER whose transfers count; others never do.
    tokens: Sequence[str] = ()
    timeout_s: float = TIMEOUT_S
    #: The most that is offered for a place in a block, in the number of the chain's rate; its adapter's own if not set.
    rate_max: int | None = None

    def __repr__(self) -> str:
        return f"Nodes({self.network}, {len(self.urls)} of them, quorum {self.quorum})"
