"""python -m tests.deploy.standins.stage FOLDER: what the stand-in images are made of, gathered into a build context."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import jpype

from penstock.stack import cassandra, cassandra_config, elasticsearch, elasticsearch_node, nats
from penstock.stack.place import Place

HERE = Path(__file__).parent
OWN_FLAGS = ("-Xm", "-javaagent", "-Djava.io.tmpdir", "-Dcassandra.config", "-Dlogback", "-Dcassandra.storagedir")


def stage(folder: Path) -> None:
    """Gathers everything."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    place = Place(state=folder / ".place")
    shutil.copy(nats.binary(), folder / "nats-server")
    shutil.copytree(place.java, folder / "java", symlinks=True)
    shutil.copytree(elasticsearch.home(place), folder / "elasticsearch")
    shutil.copytree(cassandra.home(place), folder / "cassandra")
    shutil.copy(elasticsearch_node.__file__, folder)
    (folder / "log4j2.properties").write_text(elasticsearch.LOGGING)
    (folder / "logback.xml").write_text(cassandra_config.LOGGING)
    (folder / "java.flags").write_text("\n".join(flags(place)) + "\n")
    (folder / "jpype").mkdir()
    packages = Path(jpype.__file__).parents[1]
    for part in (*packages.glob("*jpype*"), packages / "packaging"):
        if not part.name.endswith(".dist-info"):
            (shutil.copytree if part.is_dir() else shutil.copy)(part, folder / "jpype" / part.name)
    shutil.rmtree(folder / ".place", ignore_errors=True)


def flags(place: Place) -> list[str]:
    """Java's flags for Cassandra, with the paths of the image."""
    command = cassandra_config.command(place, cassandra.home(place) / "lib")
    kept = [flag for flag in command[1 : command.index("-cp")] if not flag.startswith(OWN_FLAGS)]
    [agent] = (cassandra.home(place) / "lib").glob("jamm-*.jar")
    return [
        f"-javaagent:/opt/cassandra/lib/{agent.name}",
        "-Djava.io.tmpdir=/tmp",
        "-Dlogback.configurationFile=/opt/logback.xml",
        "-Dcassandra.storagedir=/var/lib/cassandra",
        *kept,
    ]


if __name__ == "__main__":
    stage(Path(sys.argv[1]))
