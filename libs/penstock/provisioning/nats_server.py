"""What is one NATS server's own in nats.conf: its name, where it listens and stores, and the others of its cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.provisioning.certificate import SERVERS_FILE
from penstock.settings import Settings

CLIENTS, MONITORING, ROUTES = 4222, 8222, 6222
ROUTES_USER = "routes"
TLS_FOLDER = "routes"  # beside nats.conf: certificate and key of the servers, and the authority
# Clients are sent away one by one, within the least time that a server allows; a container's grace is longer.
LAME_DUCK = {"lame_duck_grace_period": "5s", "lame_duck_duration": "30s"}


@dataclass(frozen=True, slots=True)
class NatsServer:
    """One server. `peers`: host:port of the routes of all servers of its cluster, this one among them; none: it stands
    alone. `routes_tls`: the folder of their certificate (certificate.py)."""

    name: str
    listen: str
    monitoring: str
    store: str
    peers: tuple[str, ...] = ()
    routes_password: str = ""  # between the servers of the cluster
    routes_listen: str = f"0.0.0.0:{ROUTES}"
    routes_tls: str = f"/etc/nats/{TLS_FOLDER}"
    limits: Mapping[str, Any] = field(default_factory=dict)  # further members of nats.conf

    def cluster(self) -> dict[str, Any]:
        """The block `cluster`; nothing for a server that stands alone."""
        if not self.peers:
            return {}
        user = {"user": ROUTES_USER, "password": self.routes_password}
        routes = [f"nats://{ROUTES_USER}:{self.routes_password}@{peer}" for peer in self.peers]
        both = f"{self.routes_tls}/{SERVERS_FILE}"
        return {
            "cluster": {
                "name": "penstock",
                "listen": self.routes_listen,
                "authorization": {**user, "timeout": 5},
                # Each shows the other its certificate: the server asks for that by itself.
                "tls": {"cert_file": both, "key_file": both, "ca_file": f"{self.routes_tls}/ca.pem", "timeout": 5},
                "routes": routes,
            }
        }


def local_server(settings: Settings) -> NatsServer:
    """The local stack's, on loopback."""
    return NatsServer(
        name="penstock",
        listen=f"127.0.0.1:{settings.local_port('nats')}",
        monitoring=f"127.0.0.1:{settings.local_port('nats_monitor')}",
        store=str(settings.state / "nats" / "jetstream"),
    )


def in_container(name: str, peers: tuple[str, ...], routes_password: str) -> NatsServer:
    """One whose host name is its name, on the usual ports; it stores under /data. `peers`: host names."""
    return NatsServer(
        name,
        f"0.0.0.0:{CLIENTS}",
        f"0.0.0.0:{MONITORING}",
        "/data",
        tuple(f"{peer}:{ROUTES}" for peer in peers) if len(peers) > 1 else (),
        routes_password,
        limits=LAME_DUCK,
    )
