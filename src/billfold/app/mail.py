"""Mail as the settings want it: the queue that contexts put mails into, and who sends them."""

from __future__ import annotations

import ipaddress
from email.headerregistry import Address
from email.utils import parseaddr
from typing import TYPE_CHECKING

from billfold.app import settings
from billfold.platform.keys import Envelope
from billfold.platform.mail import errors
from billfold.platform.mail.queue import MailQueue, mailbox
from billfold.platform.postgres.database import Database

if TYPE_CHECKING:
    from billfold.platform.mail.sending import Sending
    from billfold.platform.mail.transport import Server

#: Who has templates.
TEMPLATES = ("billfold.identity",)


def queue(tree: settings.Mail, envelope: Envelope) -> MailQueue:
    """Where mails are put.

    Raises: SettingInvalid.
    """
    if tree.sms_domain is not None:
        try:
            mailbox(f"phone@{tree.sms_domain}")
        except errors.MailAddressInvalid as error:
            raise settings.SettingInvalid("mail.sms_domain is wrong: it is a domain, like sms.example.com.") from error
    return MailQueue(envelope, sms_domain=tree.sms_domain)


def sending(tree: settings.Mail, *, database: Database, mails: MailQueue) -> Sending | None:
    """Who sends them; nobody where no mail server is set.

    Raises: SettingInvalid.
    """
    if tree.host is None:
        return None
    # The libraries take longer to load than much of a start, and only who sends needs them.
    from billfold.platform.mail.rendering import Renderer  # noqa: PLC0415
    from billfold.platform.mail.sending import Sending  # noqa: PLC0415
    from billfold.platform.mail.transport import Transport  # noqa: PLC0415

    return Sending(
        database=database,
        mails=mails,
        renderer=Renderer(packages=TEMPLATES, sender=_sender(tree.sender)),
        transport=Transport(_server(tree, tree.host)),
    )


def _server(tree: settings.Mail, host: str) -> Server:
    from billfold.platform.mail.transport import PORTS, Server  # noqa: PLC0415

    if (tree.user is None) != (tree.password is None):
        raise settings.SettingInvalid("mail.user and mail.password go together: set both or neither.")
    if tree.password is not None and tree.tls == "none" and not _is_here(host):
        raise settings.SettingInvalid(
            "mail.password would be sent for everybody to read: set mail.tls to starttls or implicit."
        )
    port = tree.port or PORTS[tree.tls]
    return Server(host=host, port=port, tls=tree.tls, user=tree.user, password=tree.password)


def _sender(text: str) -> Address:
    name, address = parseaddr(text if text.isprintable() else "")
    try:
        return Address(name, addr_spec=mailbox(address))
    except (errors.MailAddressInvalid, ValueError) as error:
        raise settings.SettingInvalid("mail.sender is wrong: it is like Billfold <no-reply@example.com>.") from error


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
