"""A proxy before any node that does what networks and providers do: loses answers, repeats, lies, stands still.

It knows JSON-RPC and REST, and nothing of a chain but where each says which chain it is. What is to go wrong is told by

    GET    /faults   [{"method": …, "kind": …, "times": …, "seconds": …}, …]
    POST   /faults   one of these; the first that is told applies before the later ones
    DELETE /faults   nothing goes wrong any more

`method` is a pattern (`eth_*`, `*`) for the JSON-RPC method, or for `GET /path` of REST. `faults` says which kinds
there are, `serving` listens, `messages` reads and writes HTTP. `python -m billfold.devnet.proxy` runs one.
"""

from billfold.devnet.proxy.faults import Fault, Kind
from billfold.devnet.proxy.serving import FaultProxy

__all__ = ["Fault", "FaultProxy", "Kind"]
