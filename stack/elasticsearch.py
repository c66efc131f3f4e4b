"""Elasticsearch from its published jars: one node on loopback, started inside a JVM by stack.elasticsearch_node."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

from penstock.stack import http_probe, jars, process
from penstock.stack.place import Place

NAME = "elasticsearch"
DESCRIPTOR = "META-INF/es-plugins/transport-netty4/plugin-descriptor.properties"
LOGGING = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = [%d{ISO8601}][%-5p][%-25c{1.}] %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
"""


def home(place: Place) -> Path:
    """The jars in the layout that the node expects; fetched at the first call."""
    return jars.home(place, NAME, _arrange)


def ports_of(place: Place) -> dict[str, int]:
    """The ports it listens on, by purpose."""
    return {"HTTP": place.local_port("elasticsearch"), "transport": place.local_port("elasticsearch_transport")}


def start(place: Place) -> process.Record:
    """Start the node unless it runs; it is not ready yet."""
    config = place.folder("elasticsearch/config")
    (config / "log4j2.properties").write_text(LOGGING)
    data = place.folder("elasticsearch/data")
    temporary = place.folder("elasticsearch/tmp")
    settings = {
        "path.home": str(home(place)),
        "path.data": str(data),
        "path.logs": str(place.folder("elasticsearch/logs")),
        "path.repo": str(place.folder("elasticsearch/snapshots")),
        "cluster.name": "penstock",
        "node.name": "local",
        "discovery.type": "single-node",
        "network.host": "127.0.0.1",
        "http.port": str(place.local_port("elasticsearch")),
        "transport.port": str(place.local_port("elasticsearch_transport")),
        # A developer's disk is often nearly full; the watermarks would turn the indices read-only.
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }
    arguments = [f"--java={place.java}", f"--heap={place.elasticsearch_heap}"]
    arguments += [f"--config={config}", f"--temporary={temporary}"]
    arguments += [f"{key}={value}" for key, value in settings.items()]
    return process.start(
        place,
        process.Child(
            name=NAME,
            command=(sys.executable, "-m", "penstock.stack.elasticsearch_node", *arguments),
            ports=ports_of(place),
        ),
    )


def wait_ready(place: Place, record: process.Record, timeout: float = 300.0) -> None:
    """Wait until every primary shard answers; after a crash it first indexes again what was not flushed."""
    port = place.local_port("elasticsearch")
    path = "/_cluster/health?wait_for_status=yellow&timeout=1s"
    process.wait_ready(place, record, lambda: http_probe.answers(port, path), timeout)


def _arrange(home: Path) -> None:
    """The transport is a plugin with a class loader of its own, so its jars must not lie on the class path."""
    module = home / "modules" / "transport-netty4"
    module.mkdir(parents=True)
    for jar in sorted((home / "lib").glob("*netty*.jar")):
        jar.rename(module / jar.name)
    [plugin] = module.glob("transport-netty4-*.jar")
    with zipfile.ZipFile(plugin) as archive:
        lines = archive.read(DESCRIPTOR).decode().splitlines()
    # As a named Java module it would need the module path of the full distribution.
    kept = [line for line in lines if not line.startswith("modulename=")]
    (module / "plugin-descriptor.properties").write_text("\n".join(kept) + "\n")
