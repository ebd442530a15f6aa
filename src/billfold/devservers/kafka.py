"""Apache Kafka, one node that is its own controller (KRaft), from the jars of Maven Central."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

from billfold.devservers import fetching, server, wire
from billfold.devservers.server import DevServer
from billfold.platform import children, host

VERSION = "4.3.1"
_ARTIFACTS = (f"org.apache.kafka:kafka_2.13:{VERSION}", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")

#: Little memory, and no time spent on making code faster that runs for minutes.
_JAVA = ("-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

_SETTINGS = """\
# Written by billfold at every start.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/data
num.partitions=3
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
# How long a broker that was killed is believed to live. With the default its next start would wait for that.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""


class Kafka(DevServer):
    """One broker. Topics are made by those who use them."""

    name = "kafka"
    title = "Kafka"
    usual_port = 9092

    def __init__(self, folder: Path, *, on_line: children.LogLine, port: int | None = None) -> None:
        super().__init__(folder, on_line=on_line, port=port)
        self._controller_port = host.free_port(besides=[self.port])

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
        settings = self.folder / "server.properties"
        filled = _SETTINGS.format(folder=self.folder, port=self.port, controller_port=self._controller_port)
        host.write_private(settings, filled)
        host.write_private(self.folder / "log4j2.properties", server.LOG4J)
        if not (self.folder / "data" / "meta.properties").exists():
            await self._format(settings)
        return self._java("kafka.Kafka", str(settings))

    async def _format(self, settings: Path) -> None:
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        program = self._java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", f"--config={settings}")
        child = await children.start(program, on_line=self._on_line)
        if code := await child.wait():
            raise child.failure(f"can't format its folder, exit code {code}")

    def _java(self, *arguments: str) -> children.Program:
        path = f"{fetching.jars(self.title, VERSION, *_ARTIFACTS)}/*"
        logging = f"-Dlog4j2.configurationFile={self.folder}/log4j2.properties"
        return self._as_program(fetching.java(self.title), *_JAVA, logging, "-cp", path, *arguments)

    async def _answers(self) -> bool:
        return await wire.kafka(self.port)
