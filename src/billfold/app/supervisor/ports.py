"""On which ports the programs of a stack listen: those that were set, or free ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from billfold.app import settings
from billfold.platform import host

#: Where messages to phones go in the sink; it is nobody's (RFC 6761).
SINK_SMS_DOMAIN = "sms.invalid"


class Chosen(NamedTuple):
    """The settings with free ports, and those that no setting can say since each replica has another."""

    settings: settings.Settings
    #: The metrics of each ledger.
    ledgers: tuple[int, ...]


def choose(loaded: settings.Loaded, *, ledgers: int, claim: Callable[[int], bool]) -> Chosen:
    """Ports that are free: one that was set is kept or refused, a default gives way.

    It also does so to another stack that has claimed it and does not listen yet.

    Raises: PortTaken, NoFreePort.
    """
    tree = loaded.settings
    wanted = {
        "api.port": tree.api.port,
        "api.metrics_port": tree.api.metrics_port,
        "worker.metrics_port": tree.worker.metrics_port,
        "mail_sink.port": tree.mail_sink.port,
        "mail_sink.smtp_port": tree.mail_sink.smtp_port,
    }
    ours = list(wanted)
    replicas = [f"ledger.metrics_port{f'+{number}' if number else ''}" for number in range(ledgers)]
    wanted |= {key: tree.ledger.metrics_port + number for number, key in enumerate(replicas)}
    chosen: dict[str, int] = {}
    for key, port in wanted.items():
        if key in loaded.sources:
            chosen[key] = host.checked_port(port)
        else:
            free = host.port_is_free(port) and port not in chosen.values() and claim(port)
            chosen[key] = port if free else host.free_port(besides=chosen.values())
    tree = settings.replaced(tree, {key: chosen[key] for key in ours})
    return Chosen(_with_mail(tree), tuple(chosen[key] for key in replicas))


def has_mail_sink(tree: settings.Settings) -> bool:
    """Whether the stack of these settings, as they were given, has a mail server of its own."""
    return tree.mail.host is None


def _with_mail(tree: settings.Settings) -> settings.Settings:
    """The mail server that is set, or the sink. There, phones have a gateway too."""
    if not has_mail_sink(tree):
        return tree
    return settings.replaced(
        tree,
        {
            "mail.host": "127.0.0.1",
            "mail.port": tree.mail_sink.smtp_port,
            "mail.tls": "none",
            "mail.user": None,
            "mail.password": None,
            "mail.sms_domain": tree.mail.sms_domain or SINK_SMS_DOMAIN,
        },
    )
