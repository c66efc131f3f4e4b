"""The fleet as local processes: `python -m services.<name>`, as many of each as the place says."""

from __future__ import annotations

import sys

from stack import cassandra_roles, http_probe, process
from stack.place import CHECKOUT, Place

# In the order of start: who answers questions before who asks them.
SERVICES = ("operator", "indexer", "writer", "scorer", "ingress")
# The scorer is ready once it has a model, and the first one is trained on what the rest of the fleet has stored.
STARTED = {"scorer": "/livez"}


def children(place: Place) -> list[process.Child]:
    """One child per process of the fleet; a service that is not in this checkout is left out."""
    found = []
    for service in SERVICES:
        if not (CHECKOUT / "services" / service / "__main__.py").exists():
            continue
        for instance in range(place.fleet.get(service, 1)):
            port = place.local_port(service, instance)
            found.append(
                process.Child(
                    name=f"{service}_{instance}",
                    command=(sys.executable, "-m", f"services.{service}"),
                    ports={"HTTP": port},
                    environment={"PENSTOCK_PORT": str(port), "PENSTOCK_INSTANCE": str(instance)},
                )
            )
    return found


def wait_ready(place: Place, child: process.Child, record: process.Record, timeout: float = 60.0) -> None:
    """Wait until the service's /readyz says yes, or what STARTED has for it."""
    port, path = child.ports["HTTP"], STARTED.get(child.name.rpartition("_")[0], "/readyz")
    process.wait_ready(place, record, lambda: http_probe.answers(port, path), timeout)


def migration(place: Place) -> process.Child:
    """The job that makes the tables: as `admin`, since the writer's own role may not."""
    return process.Child(
        name="migrate",
        command=(sys.executable, "-m", "services.writer.migrate"),
        environment={
            "PENSTOCK_CASSANDRA_USERNAME": cassandra_roles.ADMIN,
            "PENSTOCK_CASSANDRA_PASSWORD_FILE": str(place.secrets / "cassandra_admin"),
        },
    )
