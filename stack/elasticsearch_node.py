"""The process of one Elasticsearch node: a JVM inside Python, because the published jars come without a launcher."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

import jpype


def main() -> None:
    """Run the node until SIGTERM or SIGINT, then close it in order."""
    arguments = parse()
    # Blocked before the JVM makes threads, which inherit it: so the signals reach sigwait below and nothing else.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    settings = dict(pair.split("=", 1) for pair in arguments.settings)
    start_jvm(arguments, Path(settings["path.home"]))
    try:
        node = start_node(settings, arguments.config)
    except jpype.JException as error:
        print(error.stacktrace(), file=sys.stderr, flush=True)
        os._exit(1)
    signal.sigwait(stops)
    node.close()
    sys.stdout.flush()
    os._exit(0)  # threads of the JVM would keep an ordinary exit waiting


def parse() -> argparse.Namespace:
    """The command line: where Java is, its heap, the folders, then Elasticsearch settings as key=value."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--java", type=Path, required=True)
    parser.add_argument("--heap", required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--temporary", required=True)
    parser.add_argument("settings", nargs="+")
    return parser.parse_args()


def start_jvm(arguments: argparse.Namespace, home: Path) -> None:
    """Start the JVM with the server's class path."""
    flags = [
        f"-Xms{arguments.heap}",
        f"-Xmx{arguments.heap}",
        "-Xrs",
        "-XX:+ExitOnOutOfMemoryError",
        "--enable-native-access=ALL-UNNAMED",
        f"-Djava.io.tmpdir={arguments.temporary}",
        "-Dlog4j2.disable.jmx=true",
        "-Dio.netty.noUnsafe=true",
        "-Dio.netty.noKeySetOptimization=true",
        "-Dio.netty.recycler.maxCapacityPerThread=0",
    ]
    if "jdk.incubator.vector" in (arguments.java / "release").read_text():
        flags.append("--add-modules=jdk.incubator.vector")  # vector search runs several times faster
    jpype.startJVM(
        str(arguments.java / "lib" / "server" / "libjvm.so"),
        *flags,
        classpath=[str(home / "lib" / "*")],
        convertStrings=False,
    )


def start_node(settings: dict[str, str], config: str) -> jpype.JObject:
    """Load the modules folder and start the node; blocks until it listens."""
    builder = jpype.JClass("org.elasticsearch.common.settings.Settings").builder()
    for key, value in settings.items():
        builder.put(key, value)
    path = jpype.JClass("java.nio.file.Path").of(config)
    environment = jpype.JClass("org.elasticsearch.env.Environment")(builder.build(), path)
    jpype.JClass("org.elasticsearch.common.logging.LogConfigurator").configure(environment, True)
    loader = jpype.JClass("org.elasticsearch.plugins.PluginsLoader")
    none = jpype.JClass("java.util.Set").of()
    modules = loader.loadModulesBundles(environment.modulesDir(), True)
    plugins = loader.createPluginsLoader(modules, none, jpype.JClass("java.util.Map").of(), False)
    return jpype.JClass("org.elasticsearch.node.Node")(environment, plugins).start()


if __name__ == "__main__":
    main()
