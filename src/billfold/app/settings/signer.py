"""The signer: where it is asked, what it keeps, and who wraps the keys of its seeds.

But for `address`, `token` and TLS these are set where the role runs, and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from billfold.app.settings.section import Port, Secret, Section


class Vault(Section, frozen=True, kw_only=True):
    """A Vault or an OpenBao whose Transit engine wraps keys. It takes the extra `vault`."""

    #: Where it is: https://, or http:// on this machine. Without it it is not asked.
    url: str | None = None
    #: Who we are there. It needs to encrypt and decrypt with the key, and to read it.
    token: Secret | None = None
    #: The path of the engine.
    mount: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_./-]{1,100}$")] = "transit"
    #: The name of the key there: of type aes256-gcm96.
    key: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}$")] = "billfold"
    #: The namespace, where the server has any.
    namespace: str | None = None
    #: Who signs its certificate: a PEM file; the authorities of this machine when not set.
    tls_ca: Path | None = None


class AwsKms(Section, frozen=True, kw_only=True):
    """A key of AWS KMS that wraps keys. It takes the extra `aws`; credentials are found as all of AWS's programs do."""

    #: The symmetric key: its id, ARN or alias. Without it KMS is not asked.
    key_id: str | None = None
    #: Where it is.
    region: str | None = None
    #: Another address than AWS's own, such as a VPC endpoint.
    endpoint: str | None = None


class Pkcs11(Section, frozen=True, kw_only=True):
    """An HSM that wraps keys by an AES key of its own. It takes the extra `pkcs11`."""

    #: Its PKCS#11 library, such as /usr/lib/softhsm/libsofthsm2.so. Without it no HSM is asked.
    module: Path | None = None
    #: The label of the token.
    label: str = "billfold"
    #: The PIN of its user.
    pin: Secret | None = None
    #: What the labels of its AES keys begin with: of several, the last in the order of the alphabet wraps.
    key: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,60}$")] = "billfold"


class Signer(Section, frozen=True, kw_only=True):
    """The role that has the keys of wallets on chains, and signs."""

    #: Where others find it: unix:/run/billfold/signer/signer.sock or signer.internal:8091.
    address: str | None = None
    #: Where the role itself listens, by one address of the same form. Other machines are let in by TLS alone.
    listen: str = "127.0.0.1:8091"
    #: The certificate that this process shows to the other side, with those between it and a root: a PEM file. With
    #: it both sides speak TLS, and each must know the other's.
    tls_certificate: Path | None = None
    #: The private key of the certificate: a PEM file without a password.
    tls_key: Path | None = None
    #: Who signs the certificates of the other side: a PEM file.
    tls_authority: Path | None = None
    #: Of the role: who may have it sign, by names in their certificates such as worker.internal, separated by commas; *
    #: is whoever has a certificate of the authority. With TLS the role does not start without it.
    allowed_clients: str | None = None
    #: What callers have to know besides, at least 16 characters: for a port that any program of the machine reaches.
    token: Annotated[Secret, msgspec.Meta(min_length=16)] | None = None
    #: How long others wait for an answer, with what is tried again meanwhile.
    timeout_s: Annotated[int, msgspec.Meta(ge=1, le=60)] = 20
    #: Where `/metrics` of the role is.
    metrics_port: Port = 9083
    #: The signer's own database, as its role `billfold_signer`.
    dsn: Secret | None = None
    #: The same database as its owner, who applies migrations.
    owner_dsn: Secret | None = None
    #: Who wraps the keys of new seeds. What others have wrapped is opened by them as long as they are set.
    provider: Literal["local", "vault", "aws-kms", "pkcs11"] = "local"
    #: The file of the signer's master keys, of the provider `local`. Not that of `keys.file`, which the API has.
    keys_file: Path | None = None
    vault: Vault = Vault()
    aws_kms: AwsKms = AwsKms()
    pkcs11: Pkcs11 = Pkcs11()
