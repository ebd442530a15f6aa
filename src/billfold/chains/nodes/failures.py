"""What can go wrong with one node. Adapters meet what `pool` makes of it."""

from __future__ import annotations

from typing import Literal

from billfold.chains import errors

#: What a node's failures are counted by.
Kind = Literal["unreachable", "timeout", "broken_off", "limited", "status", "wrong", "behind"]


class NodeFailed(Exception):
    """One node has not answered as it should. Its text holds no address."""

    def __init__(self, kind: Kind, detail: str, *, reached: bool = True, rest_s: float | None = None) -> None:
        """`reached`: the node may have got what was sent. `rest_s`: it asks to be left alone for so long."""
        super().__init__(detail)
        self.kind: Kind = kind
        self.detail = detail
        self.reached = reached
        self.rest_s = rest_s


class CallRefused(errors.NodeWrong):
    """A node of the chain refuses the call."""

    code = "node_refused"

    def __init__(self, number: int, message: str, data: object = None) -> None:
        """`number` is JSON-RPC's or HTTP's, `message` the node's words, cut; `data` what else it says of it."""
        super().__init__(f"A node refuses the call ({number}): {message}")
        self.number = number
        self.message = message
        self.data = data


class ProvidersDisagree(errors.NodeUnavailable):
    """The nodes of the chain do not say the same; nothing is decided until they do."""

    code = "providers_disagree"
