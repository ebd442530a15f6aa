"""Envelope encryption: what the database keeps and nobody who reads it may know is sealed here.

Every value has a data key of its own, which a provider of master keys wraps; the master keys never leave the provider.
They are in a file (`local`), or with somebody who is asked each time (`transit`, `aws`, `pkcs11`).
"""

from billfold.platform.keys.envelope import Envelope, KeysUnavailable, NoProvider, Provider, SealBroken
from billfold.platform.keys.keyring import Keyring, MasterKey

__all__ = ["Envelope", "Keyring", "KeysUnavailable", "MasterKey", "NoProvider", "Provider", "SealBroken"]
