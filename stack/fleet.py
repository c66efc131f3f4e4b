"""The fleet as local processes: `python -m services.<name>`, as many of each as the place says."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from penstock.errors import PenstockError
from penstock.services.writer import cassandra_roles
from penstock.stack import http_probe, nats, process
from penstock.stack.place import CHECKOUT, Place


@dataclass(frozen=True, slots=True)
class Service:
    """One member of the fleet and the number of its processes unless PENSTOCK_FLEET says otherwise."""

    name: str
    count: int = 1


def services(place: Place) -> tuple[Service, ...]:
    """The fleet in the order of start: authentication, workers, ingress."""
    return (
        Service("issuer", 1 if place.auth == "callout" and place.idp == "local" else 0),
        Service("authority", 2 if place.auth == "callout" else 0),
        Service("auditor"),
        Service("operator", 2),
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
    """Environment of one service only."""
    return {"PENSTOCK_NATS_LOG_FILE": str(place.log(nats.NAME))} if name == "auditor" else {}


@dataclass(frozen=True, slots=True)
class Readiness:
    """What a service says of itself on /readyz: why it is not ready (nothing: it is), and what one should know."""

    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def readiness(port: int) -> Readiness:
    """What the service on this port says."""
    answer = http_probe.get(port, "/readyz")
    if answer is None:
        return Readiness(("it does not answer",))
    status, body = answer
    try:
        found = json.loads(body)
        reasons = () if status == 200 else tuple(str(reason) for reason in found["reasons"])
        return Readiness(reasons, tuple(str(note) for note in found.get("notes", ())))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Readiness(() if status == 200 else (f"/readyz answers with status {status}",))


def reasons(port: int) -> list[str]:
    """Why the service on this port is not ready, in its own words; empty if it is."""
    return list(readiness(port).reasons)


def wait_ready(place: Place, child: process.Child, record: process.Record, timeout: float = 120.0) -> tuple[str, ...]:
    """Wait until the service is ready; returns its notes. Raises PenstockError with its reasons when it is not."""
    found = Readiness()

    def ready() -> bool:
        nonlocal found
        found = readiness(child.ports["HTTP"])
        return not found.reasons

    try:
        process.wait_ready(place, record, ready, timeout)
    except PenstockError as error:
        raise PenstockError(
            error.code, f"{child.name} is not ready: {'; '.join(found.reasons)}. {error.detail}"
        ) from error
    return found.notes


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
