"""A stand-in for MongoDB: mongo-java-server, which speaks its protocol and keeps its data in H2.

No package registry has a real `mongod`. This one knows databases, unique indexes, upserts, bulk writes, aggregations
and decimals; it knows no sessions and no transactions, calls itself 5.0, is spoken to by PyMongo 4.15 and no newer,
and when it is killed its last writes are gone. What is shown on it must hold without those.
"""

from __future__ import annotations

from billfold.devservers import fetching, wire
from billfold.devservers.server import DevServer
from billfold.platform import children, host

VERSION = "1.47.0"
_ARTIFACTS = (f"de.bwaldvogel:mongo-java-server-h2-backend:{VERSION}",)

#: Its own main listens on one port alone. Java runs a program of one file from its source.
_MAIN = """\
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.backend.h2.H2Backend;

public class Mongo {
  public static void main(String[] arguments) {
    MongoServer server = new MongoServer(new H2Backend(arguments[0]));
    server.bind("127.0.0.1", Integer.parseInt(arguments[1]));
    Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
  }
}
"""


class Mongo(DevServer):
    """A stand-in for one MongoDB without replicas."""

    name = "mongo"
    title = "the stand-in for MongoDB"
    usual_port = 27017

    @classmethod
    def fetch(cls) -> None:
        fetching.java(cls.title)
        fetching.compiler(cls.title)
        fetching.jars("mongo-java-server", VERSION, *_ARTIFACTS)

    @classmethod
    def version(cls) -> str:
        return f"mongo-java-server {VERSION}"

    @property
    def url(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}"

    async def _program(self) -> children.Program:
        path = f"{fetching.jars('mongo-java-server', VERSION, *_ARTIFACTS)}/*"
        main = self.folder / "Mongo.java"
        host.write_private(main, _MAIN)
        options = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", path)
        return self._as_program(
            fetching.java(self.title), *options, str(main), str(self.folder / "mongo.mv"), str(self.port)
        )

    async def _answers(self) -> bool:
        return await wire.mongo(self.port)
