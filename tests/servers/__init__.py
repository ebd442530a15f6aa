"""Throwaway real servers for tests, each in a module of its own; what `billfold dev servers` runs too is in `local`.

Fixtures over these are in `tests/conftest.py`.
"""

from billfold.devservers import Missing
from tests.servers.local import (
    CassandraServer,
    KafkaServer,
    LocalServer,
    MongoServer,
    OpenSearchServer,
    RabbitMQServer,
    RedisServer,
    S3Server,
    cql_of,
    running_cassandra,
    running_kafka,
    running_mongo,
    running_opensearch,
    running_rabbitmq,
    running_redis,
    running_s3,
)
from tests.servers.loop import LoopThread
from tests.servers.nats import NatsServer, running_nats
from tests.servers.postgres import PostgresServer, TestDatabase, outlasting_a_test, running_postgres

__all__ = [
    "CassandraServer",
    "KafkaServer",
    "LocalServer",
    "LoopThread",
    "Missing",
    "MongoServer",
    "NatsServer",
    "OpenSearchServer",
    "PostgresServer",
    "RabbitMQServer",
    "RedisServer",
    "S3Server",
    "TestDatabase",
    "cql_of",
    "outlasting_a_test",
    "running_cassandra",
    "running_kafka",
    "running_mongo",
    "running_nats",
    "running_opensearch",
    "running_postgres",
    "running_rabbitmq",
    "running_redis",
    "running_s3",
]
