"""The signer: keys, and signatures under a policy of its own. This is all that others may import."""

from billfold.signer import contracts, errors
from billfold.signer.service import Signer

__all__ = ["Signer", "contracts", "errors"]
