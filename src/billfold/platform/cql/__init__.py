"""A session with a server that speaks CQL: Apache Cassandra, or ScyllaDB. Keeps nothing that can't be made again."""

from billfold.platform.cql.session import CqlUnavailable, Server, Session, opened

__all__ = ["CqlUnavailable", "Server", "Session", "opened"]
