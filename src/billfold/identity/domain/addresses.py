"""The one form of an e-mail address and of a phone number, in which they are compared, kept and written to.

What is verified is this form: a code is sent to the normalised address, so whoever reads it there has that one,
whatever was typed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal, NamedTuple

import idna

from billfold.identity import errors

AddressKind = Literal["email", "phone"]

EMAIL_MAX = 254
LOCAL_MAX_BYTES = 64
#: Nobody types more for a phone number; the parser's time grows with it.
PHONE_TEXT_MAX = 40

#: RFC 5322's atext without what only mailing software of the last century has used. Quoted local parts are refused with
#: it: their characters are those by which headers are forged.
_ATEXT = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_LETTERS_AND_NUMBERS = ("L", "M", "N")


class Login(NamedTuple):
    """What somebody logs in with, in its one form. Of a text that is nothing of the sort `kind` is None."""

    kind: AddressKind | Literal["handle"] | None
    text: str


def email(text: str, *, pointer: str = "/email") -> str:
    """The e-mail address: NFKC, the local part case-folded, the domain in lower case and in its ASCII form.

    Mailboxes whose names differ in nothing but case are one mailbox everywhere; taking them for two would let somebody
    register what another person's mail goes to.

    Raises:
        InvalidEmail: it is none, or it could be taken for something else than one mailbox.
    """
    if len(text) > EMAIL_MAX:
        raise errors.InvalidEmail(pointer=pointer)
    local, at, domain = _folded(text.strip()).rpartition("@")
    ascii_domain = _domain(domain)
    if not at or ascii_domain is None or not _is_local(local):
        raise errors.InvalidEmail(pointer=pointer)
    address = f"{local}@{ascii_domain}"
    if len(address.encode()) > EMAIL_MAX:
        raise errors.InvalidEmail(pointer=pointer)
    return address


def phone(text: str, *, region: str | None = None, pointer: str = "/phone") -> str:
    """The phone number in E.164 form. Without a country code it is one of `region`, when there is one.

    Raises:
        InvalidPhone: it is none, or has an extension, which no message reaches.
    """
    if len(text) > PHONE_TEXT_MAX:
        raise errors.InvalidPhone(pointer=pointer)
    # What it knows of the world's numbers is loaded with the first of them.
    import phonenumbers  # noqa: PLC0415

    try:
        number = phonenumbers.parse(unicodedata.normalize("NFKC", text), region)
    except phonenumbers.NumberParseException:
        raise errors.InvalidPhone(pointer=pointer) from None
    if number.extension or not phonenumbers.is_valid_number(number):
        raise errors.InvalidPhone(pointer=pointer)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def login(text: str, *, region: str | None = None) -> Login:
    """What is meant by the text somebody logs in with. No text is refused here: it is just nobody's."""
    folded = _folded(text.strip())
    if folded.startswith("@"):
        return Login("handle", folded)
    try:
        return Login("email", email(text)) if "@" in folded else Login("phone", phone(text, region=region))
    except (errors.InvalidEmail, errors.InvalidPhone):
        return Login(None, folded)


def masked(address: str) -> str:
    """What may be told of an address where others read it: enough for its owner to know it."""
    local, at, domain = address.rpartition("@")
    if at:
        return f"{local[:1]}***@{domain[:1]}***{domain[domain.rfind('.') :]}"
    return f"{address[:3]}***{address[-2:]}"


def _folded(text: str) -> str:
    """NFKC_Casefold without the removals: invisible characters are refused later and not dropped here."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _is_local(local: str) -> bool:
    if not local or len(local.encode()) > LOCAL_MAX_BYTES or local[0] == "." or local[-1] == "." or ".." in local:
        return False
    return all(
        character == "."
        or _ATEXT.fullmatch(character)
        or (not character.isascii() and unicodedata.category(character)[0] in _LETTERS_AND_NUMBERS)
        for character in local
    )


def _domain(domain: str) -> str | None:
    """The domain in ASCII; None if it is none that mail goes to."""
    try:
        ascii_domain = idna.encode(domain, uts46=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        return None
    labels = ascii_domain.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(_LABEL.fullmatch(label) for label in labels):  # noqa: PLR2004
        return None
    return ascii_domain
