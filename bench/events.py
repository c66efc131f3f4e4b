"""Log lines as CloudEvents for load: real lines if the data is present, else synthetic ones; ids never repeat."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import orjson

from penstock.events import timestamps

# About 340 bytes an event, as the figures of the peers were measured with.
_MADE = "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder {} for block blk_{} terminating"


def lines(data: Path) -> list[str]:
    """Messages to send: the loghub lines under `data`, or synthetic ones."""
    real = [
        line.strip()[:400]
        for path in sorted((data / "loghub").glob("*.log"))
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.strip()
    ]
    return real or [_MADE.format(n % 3, 38865049064139660 + n * 7919) for n in range(2000)]


def events(messages: list[str], now_ns: int) -> Iterator[bytes]:
    """Endless CloudEvents of type log.line.v1: one source a process, 64 hosts, a millisecond apart."""
    bodies = [orjson.dumps({"message": message, "level": "INFO"}) for message in messages]
    return _endless(bodies, now_ns)  # a generator that begins here would encode all of them within its first event


def _endless(bodies: list[bytes], now_ns: int) -> Iterator[bytes]:
    source = f"/bench/{os.getpid()}/{os.urandom(4).hex()}"
    head = '{"specversion":"1.0","type":"log.line.v1","source":"%s","id":"%d","time":"%s","subject":"host-%d","data":'
    for n in itertools.count():
        time = timestamps.text(now_ns + n % 1_000_000 * 1_000_000 - 1_000_000_000_000)
        yield (head % (source, n, time, n % 64)).encode() + bodies[n % len(bodies)] + b"}"
