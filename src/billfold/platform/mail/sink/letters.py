"""What is in a mail. Anybody may have written it, so nothing in it is believed to be as it should."""

from __future__ import annotations

import email
import email.policy
import re
from email.message import EmailMessage
from email.parser import BytesHeaderParser

import msgspec

from billfold.kernel import clock
from billfold.platform.mail.sink import box

_UNREADABLE = "(can't be read)"
#: A code or token that stands on a line of its own; a code within a line; a token within a line.
_CODES = (
    re.compile(r"^(?=\S*[0-9])([A-Za-z0-9_-]{6,200})$", re.MULTILINE),
    re.compile(r"(?<![\w.-])([0-9]{6,10})(?![\w.-]*\w)"),
    re.compile(r"(?<![\w.-])([A-Za-z0-9_-]{20,200})(?![\w-])"),
)


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of a mail. Sender and recipients are the envelope's; `author` is what the mail says."""

    id: str
    received_at: str
    sender: str
    recipients: list[str]
    author: str
    subject: str
    size: int


class Letter(Summary, frozen=True, kw_only=True):
    """A whole mail. `code` is what somebody who got it would type in somewhere."""

    text: str
    html: str | None
    code: str | None


def summary(mailbox: box.Box, message_id: str) -> Summary:
    """What a list shows. It reads no further than the header: a list shows hundreds, and a page asks for it again.

    Raises: MessageUnknown.
    """
    raw = mailbox.read(message_id)
    return _summarised(message_id, raw, _header_of(raw))


def read(mailbox: box.Box, message_id: str) -> Letter:
    """The whole mail.

    Raises: MessageUnknown.
    """
    raw = mailbox.read(message_id)
    message = _parsed(raw)
    text = _body(message, "plain")
    return Letter(
        **msgspec.structs.asdict(_summarised(message_id, raw, message)),
        text=_UNREADABLE if text is None else text,
        html=_body(message, "html"),
        code=code_in(text or ""),
    )


def newest(mailbox: box.Box, *, to: str | None = None, limit: int = box.MESSAGES_MAX) -> list[Summary]:
    """The last mails, the newest first; only those to an address or phone when it is given."""
    found: list[Summary] = []
    for message_id in mailbox.ids():
        try:
            one = summary(mailbox, message_id)
        except box.MessageUnknown:
            # It has just given way.
            continue
        if to is None or any(_is_to(recipient, to) for recipient in one.recipients):
            found.append(one)
        if len(found) == limit:
            break
    return found


def code_in(text: str) -> str | None:
    """The code or token that a mail tells, if it tells one."""
    for pattern in _CODES:
        if match := pattern.search(text):
            return match[1]
    return None


def _is_to(recipient: str, wanted: str) -> bool:
    """A phone is named without the gateway that its messages go through."""
    wanted = wanted.casefold()
    return recipient.casefold() == wanted or (wanted.startswith("+") and recipient.startswith(f"{wanted}@"))


def _parsed(raw: bytes) -> EmailMessage:
    try:
        message = email.message_from_bytes(raw, policy=email.policy.default)
    except Exception:  # noqa: BLE001 - the parser of the library falls over some mails, each time in another way.
        message = _header_of(raw)
    return message


def _header_of(raw: bytes) -> EmailMessage:
    return BytesHeaderParser(policy=email.policy.default).parsebytes(raw)


def _summarised(message_id: str, raw: bytes, message: EmailMessage) -> Summary:
    recipients = _header(message, "Delivered-To")
    return Summary(
        id=message_id,
        received_at=clock.format(box.received_at(message_id)),
        sender=_header(message, "Return-Path").strip("<>"),
        recipients=recipients.split(", ") if recipients else [],
        author=_header(message, "From"),
        subject=_header(message, "Subject"),
        size=len(raw),
    )


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message[name] or "")
    except Exception:  # noqa: BLE001 - as above.
        return _UNREADABLE


def _body(message: EmailMessage, kind: str) -> str | None:
    try:
        part = message.get_body((kind,))
        if part is None:
            return None
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        return content.decode(part.get_content_charset("utf-8"), errors="replace").replace("\r\n", "\n")
    except Exception:  # noqa: BLE001 - as above; an alphabet that does not exist is one of the ways.
        return _UNREADABLE
