"""OpenSearch, one node, put together from the jars of Maven Central.

Of its plugins it has the one that speaks HTTP, so it knows no TLS, no users and the core's analysers alone.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path

from billfold.devservers import fetching, server, wire
from billfold.devservers.server import DevServer
from billfold.platform import children, host

VERSION = "2.19.4"
_ARTIFACTS = (f"org.opensearch:opensearch:{VERSION}", "org.apache.logging.log4j:log4j-core:2.21.0")
_HTTP_ARTIFACTS = (f"org.opensearch.plugin:transport-netty4-client:{VERSION}",)
_COMPILE_TIMEOUT_S = 300.0

#: Little memory, and no time spent on making code faster that runs for minutes; then as its own start script has it.
_JAVA = (
    *("-Xms384m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"),
    *("-Djava.security.manager=allow", "--add-opens=java.base/java.io=ALL-UNNAMED"),
    *("-Djava.locale.providers=SPI,COMPAT", "-Dlog4j.shutdownHookEnabled=false", "-Dlog4j2.disable.jmx=true"),
    *("-Dio.netty.noUnsafe=true", "-Dio.netty.noKeySetOptimization=true", "-Dio.netty.allocator.numDirectArenas=0"),
    *("-Dopensearch.distribution.type=tar", "-Dopensearch.bundled_jdk=false"),
    # It asks the system by JNA who it runs as, and refuses root, who is often the only one in a container.
    *("-Djna.nosys=true", "-Djna.noclasspath=true"),
)

_SETTINGS = """\
# Written by billfold at every start.
cluster.name: billfold
node.name: billfold
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport_port}
path.data: {folder}/data
path.logs: {folder}/logs
bootstrap.system_call_filter: false
cluster.routing.allocation.disk.threshold_enabled: false
"""

_DESCRIPTOR = f"""\
name=transport-netty4
description=HTTP
version={VERSION}
opensearch.version={VERSION}
java.version=11
classname=org.opensearch.transport.Netty4Plugin
has.native.controller=false
"""

_POLICY = """\
grant codeBase "${codebase.netty-common}" {
  permission java.net.SocketPermission "*", "accept,connect";
  permission java.lang.RuntimePermission "setContextClassLoader";
  permission java.io.FilePermission "/proc/sys/net/core/somaxconn", "read";
};
grant codeBase "${codebase.netty-transport}" {
  permission java.net.SocketPermission "*", "accept,connect";
  permission java.util.PropertyPermission "sun.nio.ch.bugLevel", "write";
};
"""

#: The one class of the distribution that Maven Central does not have. The server's policy knows its jar by name.
_LOADER = """\
package org.opensearch.plugins;

import java.security.AccessController;
import java.security.PrivilegedAction;
import java.util.List;

public class ExtendedPluginsClassLoader extends ClassLoader {
  private final List<ClassLoader> others;

  private ExtendedPluginsClassLoader(ClassLoader parent, List<ClassLoader> others) {
    super(parent);
    this.others = List.copyOf(others);
  }

  @Override protected Class<?> findClass(String name) throws ClassNotFoundException {
    for (ClassLoader other : others) {
      try {
        return other.loadClass(name);
      } catch (ClassNotFoundException ignored) {
        // The next one may have it.
      }
    }
    throw new ClassNotFoundException(name);
  }

  public static ExtendedPluginsClassLoader create(ClassLoader parent, List<ClassLoader> others) {
    return AccessController.doPrivileged(
        (PrivilegedAction<ExtendedPluginsClassLoader>) () -> new ExtendedPluginsClassLoader(parent, others));
  }
}
"""


class OpenSearch(DevServer):
    """One node. Indexes are made by those who use them."""

    name = "opensearch"
    title = "OpenSearch"
    usual_port = 9200

    def __init__(self, folder: Path, *, on_line: children.LogLine, port: int | None = None) -> None:
        super().__init__(folder, on_line=on_line, port=port)
        self._transport_port = host.free_port(besides=[self.port])

    @classmethod
    def fetch(cls) -> None:
        fetching.java(cls.title)
        fetching.compiler(cls.title)
        _home()

    @classmethod
    def version(cls) -> str:
        return VERSION

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _program(self) -> children.Program:
        home, settings = _home(), self.folder / "config"
        settings.mkdir(exist_ok=True)
        filled = _SETTINGS.format(folder=self.folder, port=self.port, transport_port=self._transport_port)
        host.write_private(settings / "opensearch.yml", filled)
        host.write_private(settings / "log4j2.properties", server.LOG4J)
        return self._as_program(
            *(fetching.java(self.title), *_JAVA, f"-Djava.io.tmpdir={host.private_folder(self.folder / 'tmp')}"),
            *(f"-Dopensearch.path.home={home}", f"-Dopensearch.path.conf={settings}"),
            *("-cp", f"{home}/lib/*", "org.opensearch.bootstrap.OpenSearch"),
        )

    async def _answers(self) -> bool:
        return await wire.opensearch(self.port)


def _home() -> Path:
    """The folder that it runs from, as its distribution has it.

    Raises: Missing.
    """
    jars = fetching.jars("opensearch-jars", VERSION, *_ARTIFACTS)
    http = fetching.jars("opensearch-http", VERSION, *_HTTP_ARTIFACTS)

    def make(folder: Path) -> Path:
        made = folder / "home"
        for empty in ("bin", "plugins", "extensions", "agent"):
            (made / empty).mkdir(parents=True)
        shutil.copytree(jars, made / "lib", copy_function=os.link)
        module = made / "modules" / "transport-netty4"
        shutil.copytree(http, module, copy_function=os.link)
        (module / "plugin-descriptor.properties").write_text(_DESCRIPTOR, encoding="utf-8")
        (module / "plugin-security.policy").write_text(_POLICY, encoding="utf-8")
        _compile_loader(folder, made / "lib")
        return made

    return fetching.cached(f"opensearch-{VERSION}", make)


def _compile_loader(folder: Path, lib: Path) -> None:
    source = folder / "ExtendedPluginsClassLoader.java"
    source.write_text(_LOADER, encoding="utf-8")
    classes = folder / "classes"
    command = ("javac", "-nowarn", "-Xlint:none", "--release", "17", "-d", str(classes), str(source))
    fetching.run(command, timeout_s=_COMPILE_TIMEOUT_S, what="javac can't compile a class of OpenSearch's")
    with zipfile.ZipFile(lib / f"opensearch-plugin-classloader-{VERSION}.jar", "w") as jar:
        for compiled in classes.rglob("*.class"):
            jar.write(compiled, compiled.relative_to(classes))
