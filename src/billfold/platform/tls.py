"""TLS of our own: the certificate that the API shows, and how our own programs and services know each other.

Which protocols and ciphers are good is OpenSSL's to say, as Python sets it up; nothing older than TLS 1.2 is spoken.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import NamedTuple, NoReturn


class CertificateUnusable(ValueError):
    """The files can't be served with; the text says which one, and what is wrong with it."""


class Mutual(NamedTuple):
    """PEM texts: the certificate that is shown with its key, and the authority that the other side's is signed by."""

    certificate: bytes
    key: bytes
    authority: bytes


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """What a server needs that shows this certificate. Both files are PEM; that of the certificate has its chain too.

    Raises: CertificateUnusable.
    """
    for file in (certificate, key):
        _check_readable(file)
    _check_certificate(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key, password=lambda: _refuse_locked(key))
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateUnusable(f"the key in {key} is not that of the certificate in {certificate}") from error
        raise CertificateUnusable(f"{key} holds no private key in PEM form") from error
    return context


def mutual(certificate: Path, key: Path, authority: Path) -> Mutual:
    """What each side of a connection needs when both show a certificate. The files are PEM.

    Raises: CertificateUnusable.
    """
    server_context(certificate, key)
    _check_readable(authority)
    _check_certificate(authority)
    return Mutual(certificate.read_bytes(), key.read_bytes(), authority.read_bytes())


def known_context(certificate: Path) -> ssl.SSLContext:
    """What a program on the same machine needs to trust the server with this very certificate, and no other.

    The certificate is for the names by which others know the server, so the name is not compared.

    Raises: CertificateUnusable.
    """
    _check_readable(certificate)
    context = ssl.create_default_context(cafile=_check_certificate(certificate))
    context.check_hostname = False
    # The server's own certificate is enough; who has signed it need not be known.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _check_readable(file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise CertificateUnusable(f"{file} can't be read: {error.strerror}") from error


def _check_certificate(file: Path) -> Path:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(file)
    except ssl.SSLError as error:
        raise CertificateUnusable(f"{file} holds no certificate in PEM form") from error
    return file


def _refuse_locked(key: Path) -> NoReturn:
    """OpenSSL asks for a password, by itself even at the terminal."""
    raise CertificateUnusable(f"the key in {key} is locked by a password; unlock it with `openssl pkey`")
