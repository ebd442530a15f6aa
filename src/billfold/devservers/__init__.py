"""Real servers for development and tests: Kafka, Cassandra, OpenSearch, RabbitMQ, Redis, S3Proxy, one for MongoDB.

`billfold dev servers up` runs them for a developer, `billfold up --profile full` for copies that can be made anew, the
fixtures of `tests/servers` for the tests. Nothing else of Billfold may import this package: in production servers are
somebody's own, with their own care. They listen on 127.0.0.1 alone, are small, and are meant for data that nobody would
miss.

`server` is what they have in common, `fetching` gets those that Java runs, `wire` asks them whether they are ready.
"""

from billfold.devservers.cassandra import Cassandra
from billfold.devservers.fetching import Missing
from billfold.devservers.kafka import Kafka
from billfold.devservers.mongo import Mongo
from billfold.devservers.opensearch import OpenSearch
from billfold.devservers.rabbitmq import RabbitMQ
from billfold.devservers.redis import Redis
from billfold.devservers.s3 import S3
from billfold.devservers.server import DevServer
from billfold.platform.children import LogLine

#: All of them, by name.
KINDS: dict[str, type[DevServer]] = {
    kind.name: kind for kind in (Cassandra, Kafka, Mongo, OpenSearch, RabbitMQ, Redis, S3)
}

__all__ = [
    "KINDS",
    "S3",
    "Cassandra",
    "DevServer",
    "Kafka",
    "LogLine",
    "Missing",
    "Mongo",
    "OpenSearch",
    "RabbitMQ",
    "Redis",
]
