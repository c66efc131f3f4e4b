"""The fleet as local processes: `python -m services.<name>`, as many of each as the place says."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.stack import cassandra_roles, http_probe, nats, process
from penstock.stack.place import CHECKOUT, Place

# A new stack has no model yet, and the scorer says so and waits for one: `up` has then done what it can.
EXPECTED = "no model"


@dataclass(frozen=True, slots=True)
class Service:
    """One member of the fleet and the number of its processes unless PENSTOCK_FLEET says otherwise."""

    name: str
    count: int = 1


def services(place: Place) -> tuple[Service, ...]:
    """The fleet in the order of start: who lets others in, who answers, who asks."""
    return (
        Service("issuer", 1 if place.auth == "callout" and place.idp == "local" else 0),
        Service("authority", 2 if place.auth == "callout" else 0),
        Service("auditor"),
        Service("operator"),
        Service("indexer"),
        Service("writer"),
        Service("scorer"),
        Service("ingress"),
    )


def children(place: Place) -> list[process.Child]:
    """One child per process of the fleet."""
    return [
        process.Child(
            name=f"{service.name}_{instance}",
            command=(sys.executable, "-m", f"penstock.services.{service.name}"),
            ports={"HTTP": place.local_port(service.name, instance)},
            environment={
                "PENSTOCK_PORT": str(place.local_port(service.name, instance)),
                "PENSTOCK_INSTANCE": str(instance),
                **_besides(place, service.name),
            },
        )
        for service in services(place)
        if (CHECKOUT / "services" / service.name / "__main__.py").exists()
        for instance in range(place.fleet.get(service.name, service.count))
    ]


def _besides(place: Place, name: str) -> dict[str, str]:
    """What only one service is told."""
    return {"PENSTOCK_NATS_LOG_FILE": str(place.log(nats.NAME))} if name == "auditor" else {}


def reasons(port: int) -> list[str]:
    """Why the service on this port is not ready, in its own words; empty if it is."""
    answer = http_probe.get(port, "/readyz")
    if answer is None:
        return ["it does not answer"]
    status, body = answer
    if status == 200:
        return []
    try:
        return [str(reason) for reason in json.loads(body)["reasons"]]
    except (ValueError, KeyError, TypeError):
        return [f"/readyz says {status}"]


def wait_ready(place: Place, child: process.Child, record: process.Record, timeout: float = 120.0) -> list[str]:
    """Wait until the service is ready, or lacks only what `up` cannot give: that is returned, else nothing."""
    found: list[str] = []

    def settled() -> bool:
        found[:] = reasons(child.ports["HTTP"])
        return all(reason.startswith(EXPECTED) for reason in found)

    try:
        process.wait_ready(place, record, settled, timeout)
    except PenstockError as error:
        raise PenstockError(error.code, f"{child.name} says: {'; '.join(found)}. {error.detail}") from error
    return found


def migration(place: Place) -> process.Child:
    """The job that makes the tables: as `admin`, since the writer's own role may not."""
    return process.Child(
        name="migrate",
        command=(sys.executable, "-m", "penstock.services.writer.migrate"),
        environment={
            "PENSTOCK_CASSANDRA_USERNAME": cassandra_roles.ADMIN,
            "PENSTOCK_CASSANDRA_PASSWORD_FILE": str(place.secrets / "cassandra_admin"),
        },
    )
