"""What of a place runs, as its pid records and its own answers say."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass

import psutil
from rich.text import Text

from penstock.cli.console import Cell
from penstock.stack import cassandra, elasticsearch, fleet, haproxy, http_probe, keycloak, nats, ports, process
from penstock.stack.place import Place


@dataclass(frozen=True, slots=True)
class Part:
    """One process. `state` is ready, unready (runs, and says why not) or down; memory is resident bytes.
    `notes` is what one should know of a part that is ready."""

    name: str
    state: str
    pid: int | None
    ports: dict[str, int]
    up_seconds: float | None
    memory: int | None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def row(self) -> tuple[Cell, ...]:
        """For a table of text."""
        colour = {"ready": "green", "down": "red"}.get(self.state, "yellow")
        listens = " ".join(str(port) for port in self.ports.values())
        since = "" if self.up_seconds is None else f"{self.up_seconds:.0f} s"
        memory = "" if self.memory is None else f"{self.memory / 2**20:.0f} MiB"
        return self.name, Text(self.state, colour), str(self.pid or ""), listens, since, memory

    @property
    def says(self) -> str:
        """Why it is not ready, and what one should know of it; empty where there is nothing to say."""
        return "; ".join((*self.reasons, *self.notes))


def status(place: Place) -> list[Part]:
    """Every process that should be there (the servers and the fleet), and any other that was started here."""
    expected = [nats.NAME, elasticsearch.NAME, cassandra.NAME]
    expected += [keycloak.NAME] if keycloak.wanted(place) else []
    expected += [child.name for child in fleet.children(place)]
    expected += [haproxy.NAME] if haproxy.wanted(place) else []
    expected += [haproxy.KEYS] if haproxy.wanted(place) and place.oidc else []
    expected += [record.name for record in process.all_recorded(place) if record.name not in expected]
    return [_part(place, name) for name in expected]


def as_json(parts: list[Part]) -> str:
    """The same for programs: a list of objects, one per process."""
    return json.dumps([asdict(part) for part in parts], indent=1)


def _part(place: Place, name: str) -> Part:
    record = process.alive(place, name)
    if record is None:
        return Part(name, "down", None, {}, None, None)
    try:
        running = psutil.Process(record.pid)
        since, memory = time.time() - running.create_time(), running.memory_info().rss
    except psutil.NoSuchProcess:
        return Part(name, "down", None, {}, None, None)
    said = _readiness(name, record)
    state = "unready" if said.reasons else "ready"
    return Part(name, state, record.pid, record.ports, since, memory, said.reasons, said.notes)


def _readiness(name: str, record: process.Record) -> fleet.Readiness:
    if name == nats.NAME:
        ready = http_probe.answers(record.ports["monitoring"], "/healthz")
    elif name == elasticsearch.NAME:
        ready = http_probe.answers(record.ports["HTTP"], "/_cluster/health?wait_for_status=yellow&timeout=1s")
    elif name == cassandra.NAME:
        ready = not ports.is_free(record.ports["clients"])
    elif name == keycloak.NAME:
        ready = http_probe.answers(record.ports["HTTP"], keycloak.DISCOVERY)
    else:
        return fleet.readiness(record.ports["HTTP"]) if "HTTP" in record.ports else fleet.Readiness()
    return fleet.Readiness() if ready else fleet.Readiness(("it does not answer",))
