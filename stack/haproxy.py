"""HAProxy in front of the ingress processes: `python -m penstock.services.edge`, which becomes HAProxy.

Beside it, where tokens are taken, `python -m penstock.services.edge keys`: an issuer's new keys reach HAProxy by
themselves.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace

from penstock.errors import PenstockError
from penstock.provisioning import certificate
from penstock.stack import fleet, process
from penstock.stack.place import Place

NAME = "edge"
KEYS = "edge_keys"
UPDATE_SECONDS = 60.0


def wanted(place: Place) -> bool:
    """False where PENSTOCK_EDGE=off leaves it out."""
    return place.edge == "on"


def require_installed() -> None:
    """Raises TOOL_MISSING, so that `up` says so before anything is started."""
    if not shutil.which("haproxy", path=_path()):
        raise PenstockError(
            "TOOL_MISSING",
            "HAProxy is missing: apt-get install -y --no-install-recommends haproxy. "
            "PENSTOCK_EDGE=off does without it; clients then talk to the ingress",
        )


def child(place: Place) -> process.Child:
    """The edge as a child process. It passes requests on to every ingress that the place has."""
    ingress_ports = [each.ports["HTTP"] for each in fleet.children(place) if each.name.startswith("ingress_")]
    addresses = ",".join(f"127.0.0.1:{port}" for port in ingress_ports)
    return process.Child(
        name=NAME,
        command=(sys.executable, "-m", "penstock.services.edge"),
        ports={
            "HTTPS": place.local_port("edge"),
            "HTTP": place.local_port("edge_stats"),
            "Elasticsearch readers": place.local_port("elasticsearch_reader"),
            "its own next process": place.local_port("edge_peers"),
        },
        environment={"PATH": _path(), "PENSTOCK_EDGE_INGRESS": addresses},
    )


def start(place: Place) -> process.Record:
    """Start it; one that runs takes what has changed: processes of the ingress, keys of issuers, its certificate."""
    certificate.ensure(place.folder("tls"))
    wanted = child(place)
    if running := process.alive(place, NAME):
        command = (*wanted.command, "update")
        process.run(place, replace(wanted, name=f"{NAME}_update", command=command, ports={}), UPDATE_SECONDS)
        return running
    return process.start(place, wanted)


def start_keys(place: Place) -> None:
    """Start what looks for the issuers' new keys, unless it runs or there are no issuers."""
    if place.oidc:
        edge = child(place)
        process.start(place, replace(edge, name=KEYS, command=(*edge.command, "keys"), ports={}))


def wait_ready(place: Place, record: process.Record, timeout: float = 30.0) -> None:
    """Wait until it takes requests and at least one ingress is behind it."""
    port = record.ports["HTTP"]
    process.wait_ready(place, record, lambda: not fleet.reasons(port), timeout)


def _path() -> str:
    """Where programs are; servers are not on everybody's PATH."""
    return f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin"
