"""On which ports the programs of a stack listen: those that were set, or free ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from billfold.app import settings
from billfold.app.supervisor import record
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
    ours = of_roles(tree)
    replicas = [f"ledger.metrics_port{f'+{number}' if number else ''}" for number in range(ledgers)]
    theirs = {key: tree.ledger.metrics_port + number for number, key in enumerate(replicas)}
    chosen: dict[str, int] = {}
    for key, port in (ours | theirs).items():
        if key in loaded.sources:
            chosen[key] = host.checked_port(port)
        else:
            free = host.port_is_free(port) and port not in chosen.values() and claim(port)
            chosen[key] = port if free else host.free_port(besides=chosen.values())
    tree = settings.replaced(tree, {key: chosen[key] for key in ours})
    return Chosen(_with_mail(tree), tuple(chosen[key] for key in replicas))


def of_roles(tree: settings.Settings) -> dict[str, int]:
    """Where the roles of every stack listen, by the name of the setting."""
    found = {
        "api.port": tree.api.port,
        "api.metrics_port": tree.api.metrics_port,
        "worker.metrics_port": tree.worker.metrics_port,
    }
    if has_mail_sink(tree):
        found |= {"mail_sink.port": tree.mail_sink.port, "mail_sink.smtp_port": tree.mail_sink.smtp_port}
    return found


def moved(wanted: settings.Settings, chosen: settings.Settings) -> Iterator[str]:
    """Which ports gave way, each as a sentence: who wants that of the API knows where it is."""
    found = of_roles(chosen)
    for key, port in of_roles(wanted).items():
        if found.get(key, port) != port:
            yield f"port {port} is taken: {key} is {found[key]} this time"


class Claims:
    """Ports that other stacks of this user, which may be starting too, leave to this one."""

    def __init__(self, *, say: Callable[[str], None]) -> None:
        self._say = say
        self._locks: dict[int, int] = {}

    def take(self, port: int) -> bool:
        """Claim the port; False when another stack has."""
        if port not in self._locks:
            try:
                lock = record.claim_port(port)
            except OSError as error:
                self._say(f"port {port} can't be kept from other stacks that start now: {error}")
                return True
            if lock is None:
                return False
            self._locks[port] = lock
        return True

    def release(self) -> None:
        """Claim none any more."""
        for lock in self._locks.values():
            os.close(lock)
        self._locks.clear()


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
