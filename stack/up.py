"""NATS, Elasticsearch, Cassandra → provision → fleet: start in this order what does not run, and take it down again."""

from __future__ import annotations

import fcntl
import importlib
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from penstock.errors import PenstockError
from stack import cassandra, elasticsearch, fleet, nats, process
from stack.place import Place

# What the reader of `up` is told: (part, what it is doing, seconds since that part began).
Report = Callable[[str, str, float], None]


def up(place: Place, report: Report = lambda *_: None, *, servers_only: bool = False) -> None:
    """Bring up what is down, leave alone what runs. Raises PenstockError naming the part that did not start."""
    with _alone(place):
        _together(
            lambda: start_nats(place, report),
            lambda: start_elasticsearch(place, report),
            lambda: start_cassandra(place, report),
        )
        if servers_only:
            return
        provision(place, report)
        fleet.start(place, report)


def down(place: Place, report: Report = lambda *_: None) -> None:
    """Stop every process of this place: services first, so that they can still finish what they hold. Data stays."""
    with _alone(place):
        records = process.all_recorded(place)
        servers = [record for record in records if record.name in (nats.NAME, elasticsearch.NAME, cassandra.NAME)]
        for group in ([record for record in records if record not in servers], servers):
            _together(*(partial(_stop, place, record.name, report) for record in group))


def clean(place: Place, report: Report = lambda *_: None) -> None:
    """Stop everything and delete the state: data, logs, passwords and credentials."""
    down(place, report)
    shutil.rmtree(place.state, ignore_errors=True)


def start_nats(place: Place, report: Report) -> None:
    """NATS with accounts and rights from contracts/, or an open one as long as there is no renderer."""
    with _timed(nats.NAME, report) as says:
        says("starting")
        nats.wait_ready(place, nats.start(place, nats.minimal_conf(place)))


def start_elasticsearch(place: Place, report: Report) -> None:
    """Elasticsearch, from its jars."""
    with _timed(elasticsearch.NAME, report) as says:
        says("installing")
        elasticsearch.home(place)
        says("starting")
        elasticsearch.wait_ready(place, elasticsearch.start(place))


def start_cassandra(place: Place, report: Report) -> None:
    """Cassandra, from its jars, with its roles."""
    with _timed(cassandra.NAME, report) as says:
        says("installing")
        cassandra.home(place)
        says("starting")
        cassandra.wait_ready(place, cassandra.start(place))


def provision(place: Place, report: Report) -> None:
    """Streams, consumers, indices and tables from contracts/, idempotently."""
    with _timed("provision", report) as says:
        says("provisioning")
        importlib.import_module("penstock.provision").provision(place)


def _stop(place: Place, name: str, report: Report) -> None:
    began = time.monotonic()
    report(name, "stopping", 0.0)
    process.stop(place, name)
    report(name, "stopped", time.monotonic() - began)


@contextmanager
def _timed(part: str, report: Report) -> Iterator[Callable[[str], None]]:
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
def _alone(place: Place) -> Iterator[None]:
    """Two `up` or `down` of one place at once would start everything twice."""
    with (place.folder("run") / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PenstockError(
                "STACK_BUSY", f"another up, down or clean of {place.state} is running; wait for it to end"
            ) from None
        yield
