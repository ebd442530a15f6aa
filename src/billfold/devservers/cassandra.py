"""Apache Cassandra, one node, from the jars of Maven Central; ScyllaDB speaks the same CQL to the same driver.

What only ScyllaDB has, such as tablets and its shard awareness, can't be tried on it.
"""

from __future__ import annotations

from pathlib import Path

from billfold.devservers import fetching, server, wire
from billfold.devservers.server import DevServer
from billfold.platform import children, host

VERSION = "5.0.9"
_ARTIFACTS = (f"org.apache.cassandra:cassandra-all:{VERSION}",)

#: What it takes of Java's insides, as its own start script says it for Java 17.
_EXPORTS = """
java.base/jdk.internal.misc java.base/java.lang.ref java.management.rmi/com.sun.jmx.remote.internal.rmi
java.rmi/sun.rmi.registry java.rmi/sun.rmi.server java.rmi/sun.rmi.transport.tcp java.sql/java.sql
jdk.unsupported/sun.misc jdk.attach/sun.tools.attach jdk.compiler/com.sun.tools.javac.file
"""
_OPENS = """
java.base/java.lang java.base/java.lang.module java.base/java.lang.reflect java.base/java.io java.base/java.net
java.base/java.nio java.base/java.util java.base/java.util.concurrent java.base/java.util.concurrent.atomic
java.base/sun.nio.ch java.base/jdk.internal.loader java.base/jdk.internal.ref java.base/jdk.internal.reflect
java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar
java.rmi/sun.rmi.transport.tcp jdk.management/com.sun.management.internal jdk.compiler/com.sun.tools.javac
"""
#: Little memory, no time spent on making code faster that runs for minutes, and no waiting for other nodes.
_JAVA = (
    *("-Xms128m", "-Xmx512m", "-Xss512k", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"),
    *("-Djdk.attach.allowAttachSelf=true", "-Djava.security.manager=allow"),
    *("-Dio.netty.tryReflectionSetAccessible=true", "-Dcassandra-foreground=yes", "-Dcassandra.ring_delay_ms=500"),
    *("-Dcassandra.skip_wait_for_gossip_to_settle=0", "-Dcassandra.superuser_setup_delay_ms=0"),
    *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS.split()),
    *(f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS.split()),
)

_SETTINGS = """\
# Written by billfold at every start.
cluster_name: billfold
num_tokens: 1
initial_token: 0
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
endpoint_snitch: SimpleSnitch
seed_provider: [{{class_name: org.apache.cassandra.locator.SimpleSeedProvider,
                  parameters: [{{seeds: "127.0.0.1:{storage_port}"}}]}}]
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage_port}
native_transport_port: {port}
start_native_transport: true
# A write is answered when it is on the disk, so that one that was answered survives a kill.
commitlog_sync: batch
commitlog_segment_size: 8MiB
commitlog_total_space: 64MiB
memtable_heap_space: 64MiB
memtable_offheap_space: 64MiB
auto_snapshot: false
data_file_directories: ["{folder}/data"]
commitlog_directory: "{folder}/commitlog"
saved_caches_directory: "{folder}/saved_caches"
hints_directory: "{folder}/hints"
cdc_raw_directory: "{folder}/cdc"
"""


class Cassandra(DevServer):
    """One node. Keyspaces are made by those who use them."""

    name = "cassandra"
    title = "Cassandra"
    usual_port = 9042

    def __init__(self, folder: Path, *, on_line: children.LogLine, port: int | None = None) -> None:
        super().__init__(folder, on_line=on_line, port=port)
        self._storage_port = host.free_port(besides=[self.port])

    @classmethod
    def fetch(cls) -> None:
        fetching.java(cls.title)
        fetching.jars(cls.title, VERSION, *_ARTIFACTS)

    @classmethod
    def version(cls) -> str:
        return VERSION

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def _program(self) -> children.Program:
        jars = fetching.jars(self.title, VERSION, *_ARTIFACTS)
        settings, logging = self.folder / "cassandra.yaml", self.folder / "logback.xml"
        filled = _SETTINGS.format(folder=self.folder, port=self.port, storage_port=self._storage_port)
        host.write_private(settings, filled)
        host.write_private(logging, server.LOGBACK)
        (agent,) = jars.glob("jamm-*.jar")
        return self._as_program(
            *(fetching.java(self.title), *_JAVA, f"-javaagent:{agent}", f"-Dcassandra.storagedir={self.folder}"),
            *(f"-Dcassandra.config=file://{settings}", f"-Dlogback.configurationFile={logging}"),
            *("-cp", f"{jars}/*", "org.apache.cassandra.service.CassandraDaemon"),
        )

    async def _answers(self) -> bool:
        return await wire.cassandra(self.port)
