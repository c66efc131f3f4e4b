"""The text of cassandra.yaml, of its logging, and the flags that Cassandra needs on Java 21."""

from __future__ import annotations

from pathlib import Path

import yaml

from penstock.stack.place import Place

EXPORTS = (
    "java.base/jdk.internal.misc java.base/java.lang.ref java.base/java.lang.reflect "
    "java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry java.rmi/sun.rmi.server "
    "java.sql/java.sql jdk.unsupported/sun.misc"
)
OPENS = (
    "java.base/java.lang java.base/java.lang.module java.base/java.io java.base/java.nio java.base/java.util "
    "java.base/java.util.concurrent java.base/java.util.concurrent.atomic java.base/sun.nio.ch "
    "java.base/jdk.internal.loader java.base/jdk.internal.ref java.base/jdk.internal.reflect "
    "java.base/jdk.internal.math java.base/jdk.internal.module "
    "jdk.management/com.sun.management.internal"
)
LOGGING = """\
<configuration>
  <appender name="console" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%-5level [%thread] %date{ISO8601} %logger{0}: %msg%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="console"/></root>
</configuration>
"""


def render(place: Place) -> str:
    """cassandra.yaml of a single node on loopback with real roles and grants."""
    storage = place.local_port("cassandra_storage")
    data = place.folder("cassandra")
    seeds = {"class_name": "org.apache.cassandra.locator.SimpleSeedProvider"}
    return yaml.safe_dump(
        {
            "cluster_name": "penstock",
            "num_tokens": 16,
            "partitioner": "org.apache.cassandra.dht.Murmur3Partitioner",
            "endpoint_snitch": "SimpleSnitch",
            "seed_provider": [{**seeds, "parameters": [{"seeds": f"127.0.0.1:{storage}"}]}],
            "listen_address": "127.0.0.1",
            "rpc_address": "127.0.0.1",
            "storage_port": storage,
            "native_transport_port": place.local_port("cassandra"),
            "authenticator": "PasswordAuthenticator",
            "authorizer": "CassandraAuthorizer",
            "role_manager": "CassandraRoleManager",
            # An answer must mean "on disk": with `periodic` a SIGKILL loses rows that were acknowledged.
            "commitlog_sync": "group",
            "commitlog_sync_group_window": "10ms",
            "commitlog_segment_size": "32MiB",
            "data_file_directories": [str(data / "data")],
            "commitlog_directory": str(data / "commitlog"),
            "saved_caches_directory": str(data / "saved_caches"),
            "hints_directory": str(data / "hints"),
            "cdc_raw_directory": str(data / "cdc_raw"),
            "auto_snapshot": False,
            "memtable_allocation_type": "offheap_objects",
        },
        sort_keys=False,
    )


def command(place: Place, jars: Path) -> tuple[str, ...]:
    """Java with everything before and after the class name."""
    config = place.folder("cassandra/config")
    exports = [f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTS.split()]
    opens = [f"--add-opens={name}=ALL-UNNAMED" for name in OPENS.split()]
    [jamm] = jars.glob("jamm-*.jar")
    return (
        str(place.java / "bin" / "java"),
        f"-Xms{place.cassandra_heap}",
        f"-Xmx{place.cassandra_heap}",
        "-XX:+ExitOnOutOfMemoryError",
        f"-javaagent:{jamm}",
        f"-Djava.io.tmpdir={place.folder('cassandra/tmp')}",
        "-Djava.security.manager=allow",
        "-Djdk.attach.allowAttachSelf=true",
        f"-Dcassandra.config=file://{config / 'cassandra.yaml'}",
        f"-Dlogback.configurationFile={config / 'logback.xml'}",
        f"-Dcassandra.storagedir={place.folder('cassandra')}",
        "-Dcassandra-foreground=yes",
        # One node waits for nobody.
        "-Dcassandra.skip_wait_for_gossip_to_settle=0",
        "-Dcassandra.ring_delay_ms=0",
        "-Dcassandra.superuser_setup_delay_ms=0",
        *exports,
        *opens,
        "-cp",
        str(jars / "*"),
        "org.apache.cassandra.service.CassandraDaemon",
    )
