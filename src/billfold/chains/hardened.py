"""The part of `outside` of chains with ed25519: no address follows from a public key, so there is only a list."""

from __future__ import annotations

from typing import Any

from billfold.chains import errors


def checked(public: str, **_: Any) -> str:  # noqa: ARG001 - as every chain has it
    """Never.

    Raises:
        PublicKeyInvalid.
    """
    raise errors.PublicKeyInvalid("On this chain no address follows from a public key; import a list of addresses.")


def path(public: str, place: object, **_: Any) -> str:  # noqa: ARG001 - as every chain has it
    """Never."""
    raise AssertionError("there is no public key to derive from")


def addresses(public: str, **_: Any) -> list[str]:  # noqa: ARG001 - as every chain has it
    """Never."""
    raise AssertionError("there is no public key to derive from")
