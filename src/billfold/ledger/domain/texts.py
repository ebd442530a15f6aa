"""What people write about money: how long it may be, and that it can be stored and told.

A text that can't be written would fail its whole batch, so it is refused before.
"""

from __future__ import annotations

from collections.abc import Mapping

from billfold.ledger import contracts, errors


def check(reference: str, description: str, metadata: Mapping[str, str]) -> None:
    """Go on only if these texts can be kept.

    Raises:
        InvalidText: one is too long, or holds a character that can't be stored.
    """
    _check("reference", reference, contracts.REFERENCE_MAX)
    _check("description", description, contracts.DESCRIPTION_MAX)
    if len(metadata) > contracts.METADATA_ENTRIES_MAX:
        raise errors.InvalidText(f"The metadata has more than {contracts.METADATA_ENTRIES_MAX} entries.")
    for key, value in metadata.items():
        _check("metadata key", key, contracts.METADATA_KEY_MAX)
        _check("metadata value", value, contracts.METADATA_VALUE_MAX)


def _check(what: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise errors.InvalidText(f"The {what} has more than {longest} characters.")
    # PostgreSQL keeps no NUL in a text, and half of a surrogate pair is no character.
    if "\x00" in text or not (text.isascii() or _is_whole(text)):
        raise errors.InvalidText(f"The {what} holds a character that can't be stored.")


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
