"""settings of the servers and of the stream → why an acknowledged message may not be on disk"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.errors import PenstockError, Refused

# Earlier ones lose acknowledged messages at a power failure in some cases, also with `sync_interval: always`.
OLDEST_VERSION = (2, 15, 0)

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(-?)")


@dataclass(frozen=True, slots=True)
class Server:
    """What one server with JetStream says of itself."""

    name: str
    version: str
    syncs_always: bool


def server(answer: bytes) -> Server | None:
    """The server that answered $SYS.REQ.SERVER.PING.VARZ; None where it has no JetStream."""
    try:
        body: Mapping[str, Any] = orjson.loads(answer)
        jetstream = body["data"].get("jetstream", {}).get("config")
        name, version = str(body["server"]["name"]), str(body["data"]["version"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return Server("a server whose answer was not understood", "", syncs_always=False)
    return None if jetstream is None else Server(name, version, jetstream.get("sync_always") is True)


def faults_of_servers(servers: Mapping[str, Server]) -> Iterator[PenstockError]:
    """NOT_DURABLE and SERVER_TOO_OLD, each with the names of the servers at fault."""
    if lax := sorted(name for name, each in servers.items() if not each.syncs_always):
        yield Refused("NOT_DURABLE", f"sync_interval is not `always` on {', '.join(lax)}")
    if old := sorted(f"{name} ({each.version or 'unknown'})" for name, each in servers.items() if is_old(each.version)):
        oldest = ".".join(map(str, OLDEST_VERSION))
        yield Refused("SERVER_TOO_OLD", f"older than {oldest}, the first to sync in every case: {', '.join(old)}")


def faults_of_stream(name: str, config: Mapping[str, Any]) -> Iterator[PenstockError]:
    """STREAM_NOT_DURABLE where the stream itself does not wait for the disk."""
    if config.get("persist_mode", "default") not in ("default", None, ""):
        yield Refused("STREAM_NOT_DURABLE", f"the stream {name} has persist_mode {config['persist_mode']!r}")
    if config.get("storage") != "file":
        yield Refused("STREAM_NOT_DURABLE", f"the stream {name} has storage {config.get('storage')!r}")
    if config.get("no_ack"):
        yield Refused("STREAM_NOT_DURABLE", f"the stream {name} has no_ack: it does not acknowledge messages")


def is_old(version: str) -> bool:
    """Whether a server is older than it may be; a pre-release comes before its release."""
    found = _VERSION.match(version)
    if found is None:
        return True
    numbers = tuple(int(each) for each in found.groups()[:3])
    return numbers < OLDEST_VERSION or (numbers == OLDEST_VERSION and bool(found[4]))
