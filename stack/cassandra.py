"""Cassandra from its published jars: one node on loopback with real roles, ready when its roles are."""

from __future__ import annotations

from pathlib import Path

from penstock.services.writer import cassandra_roles
from penstock.stack import cassandra_config, jars, process
from penstock.stack.place import Place

NAME = "cassandra"


def home(place: Place) -> Path:
    """The folder with lib/*.jar; fetched at the first call."""
    return jars.home(place, NAME)


def ports_of(place: Place) -> dict[str, int]:
    """The ports it listens on, by purpose."""
    return {"clients": place.local_port("cassandra"), "other nodes": place.local_port("cassandra_storage")}


def start(place: Place) -> process.Record:
    """Start the node unless it runs; it is not ready yet."""
    config = place.folder("cassandra/config")
    (config / "cassandra.yaml").write_text(cassandra_config.render(place))
    (config / "logback.xml").write_text(cassandra_config.LOGGING)
    return process.start(
        place,
        process.Child(
            name=NAME,
            command=cassandra_config.command(place, home(place) / "lib"),
            ports=ports_of(place),
        ),
    )


def wait_ready(place: Place, record: process.Record, timeout: float = 180.0) -> None:
    """Wait until the superuser can log in, then make the keyspace and the roles if they are not there."""
    process.wait_ready(place, record, lambda: cassandra_roles.prepare(place), timeout)
