"""Which kind of alias a text is, the form in which it is compared, and what is shown of whom it stands for."""

from __future__ import annotations

import re

import msgspec

from billfold.identity import errors
from billfold.identity.contracts import Kind, Visibility
from billfold.identity.domain import addresses, handles
from billfold.kernel.errors import Invalid

#: How long after its release nobody but its last owner can take an alias: bills and memories are this old.
TOMBSTONE_DAYS = 90
#: Stands for the rest of a name, however long that is.
_REST = "•••"
#: Custom aliases are globally unique: "customer:4711" of one program is not that of another, so the second one has to
#: choose a namespace of its own. No letter of theirs looks like another, and none changes the meaning of a path.
_CUSTOM = re.compile(r"([a-z][a-z0-9-]{1,19}):([a-z0-9][a-z0-9._~+-]{0,99})", re.ASCII)

_VISIBILITY: dict[Kind, Visibility] = {"handle": "name", "email": "masked", "phone": "masked", "custom": "name"}


class Name(msgspec.Struct, frozen=True):
    """An alias in the forms in which it is kept."""

    kind: Kind
    #: As it is shown, to its owner and to whoever pays.
    shown: str
    #: What it is found by.
    canonical: str
    #: What no other alias of its kind may have.
    skeleton: str


def read(text: str, *, pointer: str | None = None) -> Name:
    """The alias that a text names, however it is written.

    Raises:
        AliasInvalid, InvalidEmail, InvalidPhone: it names none.
    """
    try:
        return _read(text)
    except Invalid as error:
        error.pointer = pointer
        raise


def _read(text: str) -> Name:
    text = handles.normalised(text).strip()
    if text.startswith("@"):
        handle = handles.canonical(text[1:])
        return Name("handle", f"@{handle}", handle, handles.skeleton(handle))
    if ":" in text:
        return _custom(text)
    if "@" in text:
        email = addresses.email(text)
        return Name("email", email, email, email)
    if text.startswith("+"):
        phone = addresses.phone(text)
        return Name("phone", phone, phone, phone)
    raise errors.AliasInvalid


def check_new(name: Name) -> None:
    """Go on only if anybody can take this alias.

    Raises:
        HandleReserved, HandleMixed
    """
    if name.kind == "handle":
        handles.check_new(name.canonical)


def visibility_of(kind: Kind) -> Visibility:
    """What an alias shows whose owner has not said what: whoever guesses an address learns no name by it."""
    return _VISIBILITY[kind]


def needs_proof(kind: Kind) -> bool:
    """Whether its owner has to prove that it is theirs."""
    return kind in {"email", "phone"}


def payee(display_name: str, visibility: Visibility) -> str:
    """What is shown of a name. A masked one does not tell how long it is."""
    if visibility == "name":
        return display_name
    return " ".join(word[0] + _REST for word in display_name.split()) or _REST


def _custom(text: str) -> Name:
    canonical = handles.folded(text)
    if not (text.isascii() and _CUSTOM.fullmatch(canonical)):
        raise errors.AliasInvalid(
            "A name of your own is like customer:4711: before the colon 2 to 20 letters, digits or hyphens, behind it "
            "1 to 100 letters, digits or any of . _ ~ + -"
        )
    return Name("custom", text, canonical, canonical)
