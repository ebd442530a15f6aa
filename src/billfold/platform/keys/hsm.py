"""Master keys in an HSM that speaks PKCS#11, which wraps and unwraps and never shows them.

They are AES keys of 256 bits whose labels begin alike, such as billfold-2026 and billfold-2027: the last in the order
of the alphabet wraps. A wrapped key is CKM_AES_GCM (PKCS #11 v3.0, 2.13.6) with the context as associated data:

    version (1 byte) | length of the label (1) | label | nonce (12) | ciphertext and tag
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pkcs11
from pkcs11 import Attribute, KeyType, ObjectClass
from pkcs11.exceptions import (
    EncryptedDataInvalid,
    EncryptedDataLenRange,
    FunctionFailed,
    GeneralError,
    PKCS11Error,
)

from billfold.platform.keys.blocking import Blocking
from billfold.platform.keys.envelope import NONCE_BYTES, KeysUnavailable, SealBroken

_VERSION = 1
_TAG_BITS = 128
_LABEL_MAX_BYTES = 255
#: Keys of one token that are looked at: more than anybody's rotations.
_KEYS_MAX = 1_000
#: What libraries say of a tag that is wrong: the first two by the standard; SoftHSM says one of the others.
_BROKEN = (EncryptedDataInvalid, EncryptedDataLenRange, GeneralError, FunctionFailed)


class HsmProvider:
    """The keys of one token. Its session belongs to one thread, which does one thing after the other."""

    def __init__(self, *, module: Path, token: str, pin: str | None, prefix: str) -> None:
        self._module = module
        self._token = token
        self._pin = pin
        self._prefix = prefix
        self._session: Any = None
        self._blocking = Blocking("The HSM", threads=1)

    def close(self) -> None:
        """Take no more calls; the session ends with the process."""
        self._blocking.close()

    async def newest(self) -> str:
        """The token, and the label of the key that wraps.

        Raises:
            KeysUnavailable.
        """
        return await self._blocking.call(self._asked, lambda: f"{self._token}/{self._labels()[-1]}")

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key`, encrypted by the newest.

        Raises:
            KeysUnavailable.
        """
        return await self._blocking.call(self._asked, lambda: self._wrap(key, context))

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped for this context.

        Raises:
            KeysUnavailable: also when the token has not the key that has wrapped it.
            SealBroken: it was changed, or wrapped for another context.
        """
        return await self._blocking.call(self._asked, lambda: self._unwrap(wrapped, context))

    def _asked(self, work: Callable[[], Any]) -> Any:
        """Do it in a session; after a failure the next call begins a new one."""
        try:
            if self._session is None:
                token = pkcs11.lib(str(self._module)).get_token(token_label=self._token)
                self._session = token.open(user_pin=self._pin)
            return work()
        except (PKCS11Error, RuntimeError, OSError) as error:
            self._end()
            raise KeysUnavailable(f"The HSM does not do it now ({type(error).__name__}).") from None

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(PKCS11Error):
                session.close()

    def _wrap(self, key: bytes, context: bytes) -> bytes:
        label, nonce = self._labels()[-1], secrets.token_bytes(NONCE_BYTES)
        name = label.encode()
        text = self._key(label).encrypt(
            key, mechanism=pkcs11.Mechanism.AES_GCM, mechanism_param=pkcs11.GCMParams(nonce, context, _TAG_BITS)
        )
        return bytes([_VERSION, len(name)]) + name + nonce + bytes(text)

    def _unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        if len(wrapped) < 2 or wrapped[0] != _VERSION:  # noqa: PLR2004 - version and length.
            raise SealBroken
        name, rest = wrapped[2 : 2 + wrapped[1]], wrapped[2 + wrapped[1] :]
        nonce, text = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
        if len(text) <= _TAG_BITS // 8:
            raise SealBroken
        key = self._key(name.decode(errors="replace"))
        try:
            return bytes(
                key.decrypt(
                    text,
                    mechanism=pkcs11.Mechanism.AES_GCM,
                    mechanism_param=pkcs11.GCMParams(nonce, context, _TAG_BITS),
                )
            )
        except _BROKEN:
            self._end()
            raise SealBroken from None

    def _key(self, label: str) -> Any:
        found = self._found({Attribute.LABEL: label})
        if not found:
            raise KeysUnavailable("Something is sealed under a key that the HSM has not.")
        return found[0]

    def _labels(self) -> list[str]:
        labels = sorted({key.label for key in self._found({}) if key.label.startswith(self._prefix)})
        if not labels or len(labels[-1].encode()) > _LABEL_MAX_BYTES:
            raise KeysUnavailable(f"The token {self._token!r} has no AES key whose label begins with {self._prefix!r}.")
        return labels

    def _found(self, narrowed: dict[Attribute, Any]) -> list[Any]:
        wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, **narrowed}
        # To its end: a search that is left open keeps the session from the next one.
        return list(islice(self._session.get_objects(wanted), _KEYS_MAX))
