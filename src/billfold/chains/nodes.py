"""How a chain's nodes are told to an adapter."""

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
