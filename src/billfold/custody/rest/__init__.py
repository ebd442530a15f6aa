"""HTTP routes of custody: translate, call the facade, no decision. What owners see of their money is wallets'."""

from billfold.custody import Custody
from billfold.custody.rest import chains, exports, fees, keys, reconciling, reserves, treasury, unsigned
from billfold.platform import web

__all__ = ["part"]


def part(facade: Custody) -> web.Part:
    """What custody adds to the API."""
    return web.Part(
        handlers=[
            *chains.handlers,
            *exports.handlers,
            *fees.handlers,
            *keys.handlers,
            *reconciling.handlers,
            *reserves.handlers,
            *treasury.handlers,
            *unsigned.handlers,
        ],
        dependencies={"custody": facade},
    )
