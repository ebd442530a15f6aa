"""A master key of AWS KMS, which wraps and unwraps and never shows it. The context is the encryption context.

https://docs.aws.amazon.com/kms/latest/developerguide/encrypt_context.html: what is authenticated with a ciphertext, and
stands in CloudTrail beside each use. KMS rotates a key by itself without another id; a new id is a key of its own.
"""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from billfold.platform.keys.blocking import TIMEOUT_S, Blocking
from billfold.platform.keys.envelope import KeysUnavailable, SealBroken

_THREADS = 4
_TRIES = 2
_CONTEXT = "billfold"
#: Codes of a ciphertext that is not what KMS has once made, for this context and key.
_BROKEN = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})


class AwsKmsProvider:
    """One symmetric key. Credentials are found as every program of AWS finds them."""

    def __init__(self, *, key_id: str, region: str | None = None, endpoint: str | None = None) -> None:
        """Nothing is asked yet.

        Raises:
            KeysUnavailable: no region is set, or what is set is no address.
        """
        limits = Config(
            connect_timeout=TIMEOUT_S / _TRIES / 2,
            read_timeout=TIMEOUT_S / _TRIES / 2,
            retries={"total_max_attempts": _TRIES, "mode": "standard"},
        )
        try:
            self._client: Any = boto3.client("kms", region_name=region, endpoint_url=endpoint, config=limits)
        except (BotoCoreError, ValueError) as error:
            raise KeysUnavailable(f"AWS KMS can't be asked with these settings ({type(error).__name__}).") from None
        self._key_id = key_id
        self._blocking = Blocking("AWS KMS", threads=_THREADS)

    def close(self) -> None:
        """Hang up."""
        self._blocking.close()

    async def newest(self) -> str:
        """The ARN of the key, which an alias may have come to mean another one.

        Raises:
            KeysUnavailable.
        """
        said = await self._ask("describe_key", KeyId=self._key_id)
        return str(said["KeyMetadata"]["Arn"])

    async def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key`, encrypted.

        Raises:
            KeysUnavailable.
        """
        said = await self._ask("encrypt", KeyId=self._key_id, Plaintext=key, EncryptionContext=_bound(context))
        return bytes(said["CiphertextBlob"])

    async def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped for this context, by whichever key it was.

        Raises:
            KeysUnavailable.
            SealBroken: it was changed, or wrapped for another context.
        """
        said = await self._ask("decrypt", CiphertextBlob=wrapped, EncryptionContext=_bound(context))
        return bytes(said["Plaintext"])

    async def _ask(self, method: str, **named: Any) -> Any:
        try:
            return await self._blocking.call(getattr(self._client, method), **named)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in _BROKEN:
                raise SealBroken from None
            raise KeysUnavailable(f"AWS KMS refuses ({code}).") from None
        except BotoCoreError as error:
            raise KeysUnavailable(f"AWS KMS does not answer ({type(error).__name__}).") from None


def _bound(context: bytes) -> dict[str, str]:
    return {_CONTEXT: context.decode()}
