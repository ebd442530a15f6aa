"""Apache Cassandra, one node, from the jars of Maven Central; ScyllaDB speaks the same CQL to the same driver.

What only ScyllaDB has, such as tablets and its shard awareness, can't be tried on it.

A Cassandra is made with a user whose password everybody knows, and listens before anybody could change that. So this
one is started by a few lines of our own, which write down who may log in before it listens: at each start, so that it
does not matter when one was killed.
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
authenticator: PasswordAuthenticator
authorizer: CassandraAuthorizer
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

USER = "billfold"
#: Java runs a program of one file from its source. The password is 256 random bits, which a slow hash would protect no
#: better.
_MAIN = """\
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.cassandra.cql3.QueryProcessor;
import org.apache.cassandra.service.CassandraDaemon;
import org.mindrot.jbcrypt.BCrypt;

public class Guarded {
  private static final String ROLE =
      "INSERT INTO system_auth.roles (role, is_superuser, can_login, salted_hash) VALUES (?, ?, ?, ?)";

  public static void main(String[] arguments) throws IOException {
    String user = arguments[0];
    String hash = BCrypt.hashpw(Files.readString(Path.of(arguments[1])), BCrypt.gensalt(4));
    new CassandraDaemon() {
      // All is there, and it does not listen yet. Its own first user is written as of the year 1970, so this counts.
      @Override public void start() {
        QueryProcessor.executeInternal(ROLE, "cassandra", false, false, null);
        QueryProcessor.executeInternal(ROLE, user, true, true, hash);
        super.start();
      }
    }.activate();
  }
}
"""


class Cassandra(DevServer):
    """One node, for those who know its password. Keyspaces are made by those who use them."""

    name = "cassandra"
    title = "Cassandra"
    usual_port = 9042

    def __init__(self, folder: Path, *, on_line: children.LogLine, port: int | None = None) -> None:
        super().__init__(folder, on_line=on_line, port=port)
        self._storage_port = host.free_port(besides=[self.port])
        self.user = USER
        self._password_file = self.folder / "password"
        self.password = host.kept_secret(self._password_file)

    @classmethod
    def fetch(cls) -> None:
        fetching.java(cls.title)
        fetching.jars(cls.title, VERSION, *_ARTIFACTS)

    @classmethod
    def version(cls) -> str:
        return VERSION

    @property
    def url(self) -> str:
        return f"cql://{self.user}:{self.password}@{self.address}"

    async def _program(self) -> children.Program:
        jars = fetching.jars(self.title, VERSION, *_ARTIFACTS)
        settings, logging, main = (self.folder / name for name in ("cassandra.yaml", "logback.xml", "Guarded.java"))
        filled = _SETTINGS.format(folder=self.folder, port=self.port, storage_port=self._storage_port)
        host.write_private(settings, filled)
        host.write_private(logging, server.LOGBACK)
        host.write_private(main, _MAIN)
        (agent,) = jars.glob("jamm-*.jar")
        return self._as_program(
            *(fetching.java(self.title), *_JAVA, f"-javaagent:{agent}", f"-Dcassandra.storagedir={self.folder}"),
            *(f"-Dcassandra.config=file://{settings}", f"-Dlogback.configurationFile={logging}"),
            # On the command line every user of the machine could read the password.
            *("-cp", f"{jars}/*", str(main), self.user, str(self._password_file)),
        )

    async def _answers(self) -> bool:
        return await wire.cassandra(self.port)
