"""The signer: keys, and signatures under a policy of its own. This is all that others may import."""

from billfold.signer import contracts, errors

__all__ = ["contracts", "errors"]
