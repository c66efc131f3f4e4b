"""Start what does not run, in this order; take it down.

NATS → streams → authentication ─────┐
Elasticsearch ───────────────────────┼▶ tables → fleet → edge
Cassandra ───────────────────────────┘
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from penstock.errors import PenstockError
from penstock.provisioning import provision as broker_provision
from penstock.stack import (
    cassandra,
    elasticsearch,
    fleet,
    haproxy,
    identity,
    jars,
    kept,
    keycloak,
    nats,
    ports,
    process,
)
from penstock.stack.place import Place

# Progress of `up`: (part, what it is doing, seconds since that part began).
Report = Callable[[str, str, float], None]
Says = Callable[[str], None]


def silent(_part: str, _doing: str, _seconds: float) -> None:
    """Reports nothing."""


def up(place: Place, report: Report = silent, *, servers_only: bool = False) -> None:
    """Bring up what is down, leave alone what runs. Raises PenstockError naming the part that did not start."""
    with exclusive(place):
        kept.keep(place)
        require_ports(place, servers_only=servers_only)
        starts = {name: partial(start_server, place, name, report) for name in servers(place)}
        if servers_only:
            _together(*starts.values())
            return
        # NATS is up long before the Java servers are; what authenticates the fleet starts meanwhile.
        _together(partial(_start_broker, place, report), *(starts[name] for name in starts if name != nats.NAME))
        _migrate(place, report)
        start_fleet(place, report, edge=True)


def down(place: Place, report: Report = silent) -> None:
    """Stop every process of this place, from the outside in: each can still finish what it holds. Data stays."""
    with exclusive(place):
        names = [record.name for record in process.all_recorded(place)]
        edge, servers = {haproxy.NAME, haproxy.KEYS} & set(names), SERVERS.keys() & set(names)
        for group in (edge, set(names) - edge - servers, servers):
            _together(*(partial(_stop, place, name, report) for name in sorted(group)))


def clean(place: Place, report: Report = silent) -> None:
    """Stop everything and delete the state: data, logs, passwords and credentials."""
    down(place, report)
    shutil.rmtree(place.state)


def require_ports(place: Place, *, servers_only: bool = False) -> None:
    """Refuse with PORT_TAKEN before anything is started, so that the answer comes at once and nothing is half up."""
    wanted = {module.NAME: module.ports_of(place) for module in (nats, elasticsearch, cassandra)}
    if keycloak.wanted(place):
        wanted[keycloak.NAME] = keycloak.ports_of(place)
    if not servers_only:
        wanted |= {child.name: child.ports for child in fleet.children(place)}
        if haproxy.wanted(place):
            haproxy.require_installed()
            wanted[haproxy.NAME] = haproxy.child(place).ports
    for name, needs in wanted.items():
        if not process.alive(place, name):
            ports.require_free(name, needs)


def servers(place: Place) -> list[str]:
    """Those of SERVERS that this place has."""
    return [name for name in SERVERS if name != keycloak.NAME or keycloak.wanted(place)]


def start_server(place: Place, name: str, report: Report = silent) -> None:
    """Start one of SERVERS unless it runs, and wait until it is ready."""
    with _timed(name, report) as says:
        SERVERS[name](place, says)


def start_fleet(place: Place, report: Report = silent, *, edge: bool = False) -> None:
    """Start every service that does not run, then wait until all are ready; so they start side by side.

    Those that authenticate connections are ready before the others start. With `edge` it starts as soon as all but the
    scorers are ready: events are accepted and stored without them.
    """
    start_authenticators(place, report)
    with _timed("fleet", report) as says:
        says("starting")
        started = [(child, process.start(place, child)) for child in fleet.children(place) if not _authenticates(child)]
        for child, record in started:
            if not _scores(child):
                _wait_service(place, child, record, report)
        if edge:
            start_edge(place, report)
        for child, record in started:
            if _scores(child):
                _wait_service(place, child, record, report)


def start_authenticators(place: Place, report: Report = silent) -> None:
    """Start the issuer and the authority unless they run, and wait until they are ready; the streams must be there.

    Nothing to do where identities connect with nkeys.
    """
    identity.prepare(place)
    _start_services(place, [child for child in fleet.children(place) if _authenticates(child)], report)


def start_service(place: Place, name: str, report: Report = silent) -> None:
    """Start one process of the fleet, like `indexer_0`, unless it runs, and wait until it is ready."""
    [child] = [child for child in fleet.children(place) if child.name == name]
    _wait_service(place, child, process.start(place, child), report)


def start_edge(place: Place, report: Report = silent) -> None:
    """Start HAProxy unless it runs or is not wanted, and wait until it has an ingress behind it; and, where there are
    issuers, the process that keeps it up to date with their keys."""
    if haproxy.wanted(place):
        with _timed(haproxy.NAME, report) as says:
            says("starting")
            haproxy.wait_ready(place, haproxy.start(place))
            haproxy.start_keys(place)


def provision(place: Place, report: Report = silent) -> None:
    """Streams, consumers, buckets and tables, idempotently; the indexer makes its indices itself."""
    _provision_streams(place, report)
    _migrate(place, report)


def _start_broker(place: Place, report: Report) -> None:
    start_server(place, nats.NAME, report)
    _provision_streams(place, report)
    start_authenticators(place, report)


def _provision_streams(place: Place, report: Report) -> None:
    with _timed("streams", report) as says:
        says("provisioning")
        broker_provision.run(place)


def _migrate(place: Place, report: Report) -> None:
    with _timed("tables", report) as says:
        says("migrating")
        process.run(place, fleet.migration(place), timeout=120.0)


def _authenticates(child: process.Child) -> bool:
    return child.name.startswith(identity.AUTHENTICATORS)


def _scores(child: process.Child) -> bool:
    return child.name.startswith("scorer_")


def _start_services(place: Place, children: list[process.Child], report: Report) -> None:
    started = [(child, process.start(place, child)) for child in children]
    for child, record in started:
        _wait_service(place, child, record, report)


def _wait_service(place: Place, child: process.Child, record: process.Record, report: Report) -> None:
    began = time.monotonic()
    report(child.name, "starting", 0.0)
    try:
        notes = fleet.wait_ready(place, child, record)
    except BaseException:
        report(child.name, "failed", time.monotonic() - began)
        raise
    report(child.name, f"ready: {'; '.join(notes)}" if notes else "ready", time.monotonic() - began)


def _nats(place: Place, says: Says) -> None:
    says("starting")
    nats.wait_ready(place, nats.start(place, nats.fleet_conf(place)))


def _elasticsearch(place: Place, says: Says) -> None:
    if not jars.installed(place, elasticsearch.NAME):
        says("installing")
        elasticsearch.home(place)
    says("starting")
    elasticsearch.wait_ready(place, elasticsearch.start(place))


def _cassandra(place: Place, says: Says) -> None:
    if not jars.installed(place, cassandra.NAME):
        says("installing")
        cassandra.home(place)
    says("starting")
    cassandra.wait_ready(place, cassandra.start(place))


def _keycloak(place: Place, says: Says) -> None:
    if not jars.installed(place, keycloak.NAME):
        says("installing")
        keycloak.home(place)
    says("starting")
    keycloak.wait_ready(place, keycloak.start(place))


SERVERS: dict[str, Callable[[Place, Says], None]] = {
    nats.NAME: _nats,
    elasticsearch.NAME: _elasticsearch,
    cassandra.NAME: _cassandra,
    keycloak.NAME: _keycloak,
}


def _stop(place: Place, name: str, report: Report) -> None:
    began = time.monotonic()
    report(name, "stopping", 0.0)
    process.stop(place, name)
    report(name, "stopped", time.monotonic() - began)


@contextmanager
def _timed(part: str, report: Report) -> Iterator[Says]:
    began = time.monotonic()

    def says(doing: str) -> None:
        report(part, doing, time.monotonic() - began)

    try:
        yield says
    except BaseException:
        says("failed")
        raise
    says("ready")


def _together(*parts: Callable[[], None]) -> None:
    """Run the parts in parallel; all of them end before the first error is raised, so nothing goes on unseen."""
    if not parts:
        return
    with ThreadPoolExecutor(len(parts)) as pool:
        futures = [pool.submit(part) for part in parts]
    for future in futures:
        future.result()


@contextmanager
def exclusive(place: Place) -> Iterator[None]:
    """Two `up` or `down` of one place at once would start everything twice."""
    with (place.folder("run") / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PenstockError(
                "STACK_BUSY", f"another up, down or clean of {place.state} is running; wait for it to end"
            ) from None
        yield
