"""Envelope encryption: what the database keeps and nobody who reads it may know is sealed here.

Every value has a data key of its own, which a provider of master keys wraps; the master keys never leave the provider.
The one provider there is keeps them in a file (`local`).
"""

from billfold.platform.keys.envelope import Envelope, KeysUnavailable, NoProvider, Provider, SealBroken

__all__ = ["Envelope", "KeysUnavailable", "NoProvider", "Provider", "SealBroken"]
