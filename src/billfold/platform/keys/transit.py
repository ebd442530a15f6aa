"""Master keys in the Transit engine of a Vault or an OpenBao, which wraps and unwraps and never shows them.

https://developer.hashicorp.com/vault/api-docs/secret/transit: keys of type aes256-gcm96, with the context as associated
data. A rotated key keeps its versions; what they have wrapped is `vault:v<version>:<base64>`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hvac
import requests
from hvac import exceptions

from billfold.platform.keys.blocking import TIMEOUT_S, Blocking
from billfold.platform.keys.envelope import KeysUnavailable, SealBroken

_THREADS = 4
#: Each try of a call; together with one more it is less than whoever waits has patience for.
_TRY_S = TIMEOUT_S / 2
#: What Vault says (status 400) of a ciphertext that is not what it has once made, for this context.
_BROKEN = ("message authentication failed", "invalid ciphertext", "could not be decoded")


class TransitProvider:
    """One key of one engine."""

    def __init__(
        self, *, url: str, token: str, mount: str, key: str, namespace: str | None = None, tls_ca: Path | None = None
    ) -> None:
        verify = True if tls_ca is None else str(tls_ca)
        self._client = hvac.Client(url=url, token=token, namespace=namespace, verify=verify, timeout=_TRY_S)
        self._mount = mount
        self._key = key
        self._blocking = Blocking("Vault", threads=_THREADS)

    def close(self) -> None:
        """Hang up."""
        self._blocking.close()

    async def newest(self) -> str:
        """The engine, the key, and its latest version.

        Raises:
            KeysUnavailable.
        """
        said = await self._ask(self._client.secrets.transit.read_key, name=self._key)
        return f"{self._mount}/{self._key}:v{said['latest_version']}"

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key`, encrypted by the latest version.

        Raises:
            KeysUnavailable.
        """
        said = await self._ask(
            self._client.secrets.transit.encrypt_data,
            name=self._key,
            plaintext=base64.b64encode(key).decode(),
            associated_data=base64.b64encode(context).decode(),
        )
        return str(said["ciphertext"]).encode()

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped for this context.

        Raises:
            KeysUnavailable: also when the version that has wrapped it may not be used any more.
            SealBroken: it was changed, or wrapped for another context.
        """
        said = await self._ask(
            self._client.secrets.transit.decrypt_data,
            name=self._key,
            ciphertext=wrapped.decode(errors="replace"),
            associated_data=base64.b64encode(context).decode(),
        )
        return base64.b64decode(said["plaintext"])

    async def _ask(self, function: Callable[..., Any], **named: Any) -> dict[str, Any]:
        try:
            said: dict[str, Any] = (await self._blocking.call(function, **named, mount_point=self._mount))["data"]
        except exceptions.InvalidRequest as error:
            if any(words in str(error) for words in _BROKEN):
                raise SealBroken from None
            raise KeysUnavailable("Vault refuses to use the key; look at its log, and at signer.vault.*.") from None
        except (exceptions.VaultError, requests.RequestException, KeyError, ValueError) as error:
            # Its texts name the address and the path, and might name more.
            raise KeysUnavailable(f"Vault does not do it now ({type(error).__name__}); it may be sealed.") from None
        return said
