"""What is one NATS server's own in nats.conf: its name, where it listens and stores, and the others of its cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from penstock.settings import Settings

CLIENTS, MONITORING, ROUTES = 4222, 8222, 6222
ROUTES_USER = "routes"


@dataclass(frozen=True, slots=True)
class NatsServer:
    """One server. `peers`: host names of all servers of its cluster, this one among them; none: it stands alone."""

    name: str
    listen: str
    monitoring: str
    store: str
    peers: tuple[str, ...] = ()
    routes_password: str = ""  # between the servers of the cluster

    def cluster(self) -> dict[str, Any]:
        """The block `cluster`; nothing for a server that stands alone."""
        if not self.peers:
            return {}
        user = {"user": ROUTES_USER, "password": self.routes_password}
        routes = [f"nats://{ROUTES_USER}:{self.routes_password}@{peer}:{ROUTES}" for peer in self.peers]
        return {
            "cluster": {
                "name": "penstock",
                "listen": f"0.0.0.0:{ROUTES}",
                "authorization": {**user, "timeout": 5},
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
    """One whose host name is its name, on the usual ports; it stores under /data."""
    peers = peers if len(peers) > 1 else ()
    return NatsServer(name, f"0.0.0.0:{CLIENTS}", f"0.0.0.0:{MONITORING}", "/data", peers, routes_password)
