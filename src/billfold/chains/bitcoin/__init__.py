"""Bitcoin: `open` makes its adapter.

`node` speaks bitcoind's JSON-RPC; `transactions`, `addresses` and `psbt` are Bitcoin's forms; `sizes`, `selecting` and
`building` make transactions; `finding` says what has become of them; `chain` puts it together. `keys` and `signing` are
the signer's alone.
"""

from __future__ import annotations

from billfold.chains.nodes import Nodes
from billfold.chains.port import Chain


def open(nodes: Nodes) -> Chain:  # noqa: A001 - spoken as bitcoin.open
    """The adapter."""
    # What it takes is loaded only where Bitcoin is served.
    from billfold.chains.bitcoin.chain import Bitcoin  # noqa: PLC0415

    return Bitcoin(nodes)
