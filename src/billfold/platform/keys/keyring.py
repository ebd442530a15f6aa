"""Several providers at a time: one seals, and each opens what it has sealed. So one can be changed for another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from billfold.platform.keys.envelope import Envelope, KeysUnavailable, Provider


class MasterKey(NamedTuple):
    """Which master key of which provider."""

    provider: str
    key: str


class Keyring:
    """Envelopes of providers by their names."""

    def __init__(self, providers: Mapping[str, Provider], *, sealing: str) -> None:
        """`sealing` names the one that seals."""
        self._providers = providers
        self._envelopes = {name: Envelope(provider) for name, provider in providers.items()}
        self._sealing = sealing

    async def newest(self) -> MasterKey:
        """The master key that seals now.

        Raises:
            KeysUnavailable.
        """
        return MasterKey(self._sealing, await self._providers[self._sealing].newest())

    async def seal(self, plain: bytes, *, context: str) -> bytes:
        """As Envelope.seal.

        Raises:
            KeysUnavailable.
        """
        return await self._envelopes[self._sealing].seal(plain, context=context)

    async def open(self, sealed: bytes, *, provider: str, context: str) -> bytes:
        """As Envelope.open, by the provider that has sealed it and by no other.

        Raises:
            KeysUnavailable: it does not answer, or is not set here.
            SealBroken.
        """
        envelope = self._envelopes.get(provider)
        if envelope is None:
            raise KeysUnavailable(
                f"Something is sealed by the provider {provider!r}, of which the settings say nothing."
            )
        return await envelope.open(sealed, context=context)
