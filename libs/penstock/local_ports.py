"""The ports of the local stack. A process that is given none listens, and looks for the others, on these."""

from __future__ import annotations

# Offsets from port_base, so that one number moves a whole stack and two checkouts run side by side.
OFFSETS = {
    "nats": 0,
    "nats_monitor": 1,
    "elasticsearch": 2,
    "elasticsearch_transport": 3,
    "cassandra": 4,
    "cassandra_storage": 5,
    "edge": 6,
    "edge_stats": 7,
    "elasticsearch_reader": 8,
    "edge_peers": 9,
    "ingress": 10,
    "indexer": 20,
    "writer": 30,
    "scorer": 40,
    "authority": 51,
    "issuer": 55,
    "keycloak": 56,
    "keycloak_management": 57,
    "auditor": 58,
    "operator": 60,
}
