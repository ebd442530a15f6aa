"""HTTP routes of the audit: everybody's records for auditors, one's own for everybody, and proofs of both."""

from billfold.audit import Audit
from billfold.audit.rest import records, tree
from billfold.platform import web

__all__ = ["part"]


def part(audit: Audit | None) -> web.Part:
    """What the audit adds to the API; without one its routes say so."""
    return web.Part(handlers=[*records.handlers, *tree.handlers], dependencies={"audit": audit})
