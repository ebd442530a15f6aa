"""The signer: keys, and signatures under a policy of its own. This is all that others may import."""

from billfold.signer import contracts, errors
from billfold.signer.service import Signer
from billfold.signer.service.drills import Drills
from billfold.signer.service.exports import opened

__all__ = ["Drills", "Signer", "contracts", "errors", "opened"]
