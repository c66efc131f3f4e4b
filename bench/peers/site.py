"""The peers' account, stream, index and keyspace, on the same three servers.

The account is a plain one: no boundary, no permissions, subjects peer.<set>.<type>. Indices and tables are like those
of the fleet. A set has two consumers, <set>_indexer and <set>_writer.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterable

import httpx

from bench.admin import conf_with_admin, connect_admin, new_key
from bench.fleet import Fleet
from bench.peers import install
from penstock.broker import Broker
from penstock.contracts import load
from penstock.elasticsearch.templates import templates
from penstock.events import Event
from penstock.services.writer import cassandra_roles
from penstock.stack import http_probe, nats, process
from penstock.stack.place import Place

STREAM, KEYSPACE, SETS = "PEERS", "peers", ("python", "go")
_FIRST_PORT = 70
_MIGRATIONS = "services/writer/migrations/0001_events.cql"


class Site:
    """The peers' side of a benchmark. `broker` may do anything in their account, `core` in the streams' account."""

    def __init__(self, base: Fleet, broker: Broker, core: Broker, password: str) -> None:
        self.base = base
        self.place = base.place
        self.broker = broker
        self.core = core
        self.has_go = install.go(self.place) is not None
        self._password = password
        self._ports: dict[str, int] = {}

    def url(self, name: str) -> str:
        """The URL of an API."""
        return f"http://127.0.0.1:{self._ports[name]}"

    async def start(self, name: str, language: str, *words: str) -> int:
        """Starts a peer program unless it runs; returns its pid. `words` are its role, its mode and its set."""
        ports = {}
        if words[0] in ("api", "empty"):
            port = self._ports.setdefault(name, self.place.port_base + _FIRST_PORT + len(self._ports))
            ports = {"HTTP": port}
        child = process.Child(
            name=name,
            command=self._command(language, words, ports.get("HTTP", 0)),
            ports=ports,
            environment=self.environment(words[-1], ports.get("HTTP", 0)),
        )
        record = await asyncio.to_thread(process.start, self.place, child)
        if ports:
            ready = lambda: http_probe.answers(ports["HTTP"], "/livez")  # noqa: E731
            await asyncio.to_thread(process.wait_ready, self.place, record, ready, 30)
        return record.pid

    def _command(self, language: str, words: tuple[str, ...], port: int) -> tuple[str, ...]:
        match language:
            case "go":
                return (str(install.go(self.place)), *words)
            case "python":
                return (str(install.python(self.place)), str(install.HERE / "python" / f"{words[0]}.py"), words[-1])
            case _:
                return (sys.executable, "-m", "bench.ceilings.empty", str(port))

    def environment(self, name: str = "none", port: int = 0) -> dict[str, str]:
        """The environment of a peer program."""
        return {
            "PEER_NATS": self.place.nats,
            "PEER_USER": "program",
            "PEER_PASSWORD": self._password,
            "PEER_KEY": self.base.key,
            "PEER_PORT": str(port),
            "PEER_ELASTICSEARCH": self.place.elasticsearch,
            "PEER_INDEX": f"peer-{name}",
            "PEER_CASSANDRA": f"127.0.0.1:{self.place.cassandra}",
            "PEER_CASSANDRA_USERNAME": cassandra_roles.ADMIN,
            "PEER_CASSANDRA_PASSWORD_FILE": str(self.place.secrets / "cassandra_admin"),
            "PEER_KEYSPACE": KEYSPACE,
        }

    async def stored(self) -> int:
        """Messages that the peers' stream has taken, those purged included."""
        return (await self.broker.jetstream.stream_info(STREAM)).last_seq


async def pass_over(broker: Broker, stream: str, consumers: Iterable[str]) -> None:
    """Lets the consumers start after what is on the stream now; nothing may be pulling from them."""
    behind = (await broker.jetstream.stream_info(stream)).last_seq + 1
    for name in consumers:
        config = (await broker.jetstream.api(f"CONSUMER.INFO.{stream}.{name}"))["config"]
        config.pop("pause_until", None)
        config |= {"name": name, "deliver_policy": "by_start_sequence", "opt_start_seq": behind}
        await broker.jetstream.api(f"CONSUMER.DELETE.{stream}.{name}")
        await broker.jetstream.ensure_consumer(stream, config)


def subject(name: str, event: Event) -> str:
    """Where a peer publishes an event."""
    return f"peer.{name}.{event.type.type}"


async def open_site(base: Fleet) -> Site:
    """Creates everything; NATS is restarted with one more account, and its clients reconnect."""
    password = secrets.token_urlsafe(24)
    await asyncio.to_thread(install.python, base.place)
    await asyncio.to_thread(install.go, base.place)
    await asyncio.to_thread(_add_account, base.place, password)
    await base.broker.wait_connected(10)
    broker = await Broker.connect(base.place.nats, "peers", base.place.credentials_folder, prefix="$JS.API")
    await broker.jetstream.create_stream(
        {
            "name": STREAM,
            "subjects": ["peer.>"],
            "storage": "file",
            "retention": "limits",
            "num_replicas": 1,
            "allow_atomic": True,
            "duplicate_window": 100_000_000,
        }
    )
    for name in SETS:
        for worker in ("indexer", "writer"):
            await broker.jetstream.ensure_consumer(
                STREAM,
                {
                    "name": f"{name}_{worker}",
                    "durable_name": f"{name}_{worker}",
                    "filter_subject": f"peer.{name}.>",
                    "ack_policy": "explicit",
                    "ack_wait": 30_000_000_000,
                    "max_ack_pending": 20_000,
                    "deliver_policy": "all",
                },
            )
    await _make_indices(base.place)
    await asyncio.to_thread(_make_tables, base.place)
    return Site(base, broker, await connect_admin(base.place), password)


def _add_account(place: Place, password: str) -> None:
    users = f'[{{nkey: "{new_key(place, "peers")}"}}, {{user: "program", password: "{password}"}}]'
    account = f'  PEERS: {{\n    jetstream: "enabled"\n    users: {users}\n  }}\n'
    conf, marker = conf_with_admin(place), "accounts: {\n"
    if conf.count(marker) != 1:
        raise RuntimeError(f"the configuration of NATS has no place behind {marker!r}")
    conf = conf.replace(marker, marker + account)
    nats.wait_ready(place, nats.start(place, conf))


async def _make_indices(place: Place) -> None:
    made = templates(load())["component"]
    body = {
        "settings": made["penstock-settings"]["template"].get("settings", {}),
        "mappings": made["penstock-events-logs"]["template"]["mappings"],
    }
    async with httpx.AsyncClient(base_url=place.elasticsearch, timeout=60) as http:
        for name in (*SETS, "ceiling"):
            (await http.put(f"/peer-{name}", json=body)).raise_for_status()


def _make_tables(place: Place) -> None:
    text = (install.HERE.parents[1] / _MIGRATIONS).read_text(encoding="utf-8")
    with cassandra_roles.admin(place) as session:
        session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        session.set_keyspace(KEYSPACE)
        for statement in text.split(";"):
            if "CREATE TABLE" in statement:
                session.execute(statement)
        session.execute(f"GRANT MODIFY ON KEYSPACE {KEYSPACE} TO {cassandra_roles.WRITER}")
        session.execute(f"GRANT SELECT ON KEYSPACE {KEYSPACE} TO {cassandra_roles.WRITER}")
