"""The message broker of the settings."""

from __future__ import annotations

from billfold.app import settings
from billfold.platform import extras
from billfold.platform.messaging.port import Messaging


def server_setting(tree: settings.Settings) -> tuple[str, str | None]:
    """The setting that says where the broker is, and its value."""
    places = {
        "nats": ("nats.url", tree.nats.url),
        "kafka": ("kafka.servers", tree.kafka.servers),
        "rabbitmq": ("rabbitmq.url", tree.rabbitmq.url),
    }
    return places[tree.broker.kind]


def shown_place(tree: settings.Settings) -> str | None:
    """Where the broker is, for everybody to see. Kafka's servers are no URLs, and no secret."""
    _, where = server_setting(tree)
    return settings.mask(where) if where is not None and "://" in where else where


def of(tree: settings.Settings) -> Messaging:
    """Where the broker is and who we are there; nothing is connected.

    Raises:
        SettingInvalid: it is not said where.
        ExtraNotInstalled: its client is not installed.
    """
    key, where = server_setting(tree)
    if where is None:
        raise settings.SettingInvalid(f"{key} is not set: set {settings.variable(key)}.")
    if tree.broker.kind == "kafka":
        return _kafka(tree.kafka, where)
    if tree.broker.kind == "rabbitmq":
        return _rabbitmq(tree.rabbitmq, where)
    # Each client is imported by those who speak to its broker.
    from billfold.platform.messaging.brokers import nats  # noqa: PLC0415

    return nats.Server(url=where, user=tree.nats.user, password=tree.nats.password)


def _kafka(tree: settings.Kafka, servers: str) -> Messaging:
    with extras.imported("kafka"):
        from billfold.platform.messaging.brokers import kafka  # noqa: PLC0415

    return kafka.Cluster(
        servers=servers,
        user=tree.user,
        password=tree.password,
        mechanism=tree.mechanism,
        tls=tree.tls,
        tls_ca=tree.tls_ca,
        partitions=tree.partitions,
        replicas=tree.replicas,
    )


def _rabbitmq(tree: settings.Rabbitmq, url: str) -> Messaging:
    with extras.imported("rabbitmq"):
        from billfold.platform.messaging.brokers import rabbitmq  # noqa: PLC0415

    return rabbitmq.Server(url=url, user=tree.user, password=tree.password)
