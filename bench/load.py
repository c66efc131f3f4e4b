"""A bounded HTTP load on the ingress, in a process of its own: connections in a closed loop, or at a fixed rate.

    python -m bench.load --url http://127.0.0.1:7410 --seconds 30 --connections 16 --batch 100 < key

The key comes on standard input; the result is one line of JSON: events, seconds, latency percentiles in ms, failures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from urllib.parse import urlsplit

from bench.events import events, lines
from penstock.settings import load_settings
from penstock.stack.probes import percentile
from tests.support.data_folder import data_folder


class Load:
    """What one run sends, and its result."""

    def __init__(self, url: str, key: str, batch: int, rate: float, most: int) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        https = parts.scheme == "https"  # the edge of the same place
        self._tls = ssl.create_default_context(cafile=load_settings().state / "tls" / "ca.pem") if https else None
        kind = "cloudevents-batch+json" if batch > 1 else "cloudevents+json"
        self._head = (
            f"POST /v1/events HTTP/1.1\r\nHost: {self.host}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/{kind}\r\nContent-Length: "
        ).encode()
        self._batch = batch
        self._events: Iterator[bytes] = events(lines(data_folder()), time.time_ns())
        self._gap = batch / rate if rate else 0.0
        self._next = self._deadline = 0.0
        self._left = most or sys.maxsize
        self.latencies: list[float] = []
        self.events = 0
        self.answers: Counter[int] = Counter()

    def _request(self) -> tuple[bytes, int] | None:
        count = min(self._batch, self._left)
        if count <= 0 or time.perf_counter() >= self._deadline:
            return None
        self._left -= count
        items = list(islice(self._events, count))
        body = b"[" + b",".join(items) + b"]" if self._batch > 1 else items[0]
        return self._head + b"%d\r\n\r\n" % len(body) + body, count

    async def run(self, connections: int, seconds: float) -> float:
        """Opens all connections, then sends over them; returns the seconds that it took."""
        lines = await asyncio.gather(*(self._connect() for _ in range(connections)))
        began = self._next = time.perf_counter()
        self._deadline = began + seconds
        await asyncio.gather(*(self._send(*line) for line in lines))
        return time.perf_counter() - began

    async def _connect(self) -> tuple[asyncio.Transport, NatsClient]:
        loop = asyncio.get_running_loop()
        return await loop.create_connection(lambda: NatsClient(loop), self.host, self.port, ssl=self._tls)

    async def _send(self, transport: asyncio.Transport, client: NatsClient) -> None:
        """One connection: request, response, request … until time or events run out."""
        while True:
            if self._gap:
                if self._next >= self._deadline:
                    break
                self._next += self._gap
                await asyncio.sleep(max(0.0, self._next - time.perf_counter()))
            if (request := self._request()) is None:  # made in its turn: all at once would hold up the first answers
                break
            raw, count = request
            began = time.perf_counter()
            transport.write(raw)
            status = await client.answer()
            self.latencies.append(time.perf_counter() - began)
            self.answers[status] += 1
            if status == 202:
                self.events += count
        transport.close()


class NatsClient(asyncio.Protocol):
    """Reads responses with a Content-Length, with little work: the load must not be the limit."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._data = b""
        self._waiter: asyncio.Future[int] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def answer(self) -> asyncio.Future[int]:
        """The status of the next response. Raises ConnectionError when none comes within 60 s."""
        self._waiter = self._loop.create_future()
        self._timer = self._loop.call_later(60, self.connection_lost, None)
        return self._waiter

    def data_received(self, data: bytes) -> None:
        data = self._data = self._data + data if self._data else data
        head = data.find(b"\r\n\r\n")
        if head < 0:
            return
        length = int(data[:head].lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(data) < head + 4 + length:
            return
        self._data = b""
        if self._timer is not None:
            self._timer.cancel()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(int(data[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error or ConnectionError("the server closed a connection, or did not respond"))


async def run(arguments: argparse.Namespace, key: str) -> dict[str, object]:
    """Runs the load; returns its result."""
    load = Load(arguments.url, key, arguments.batch, arguments.rate, arguments.events)
    seconds = await load.run(arguments.connections, arguments.seconds)
    latencies = sorted(load.latencies)
    return {
        "events": load.events,
        "seconds": round(seconds, 3),
        "rate": round(load.events / seconds, 1),
        "p50_ms": round(percentile(latencies, 0.5) * 1000, 2),
        "p99_ms": round(percentile(latencies, 0.99) * 1000, 2),
        "answers": dict(load.answers),
    }


def main() -> None:
    """Reads the arguments and the key, prints the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, default=10, help="length of the load, at most 600")
    parser.add_argument("--events", type=int, default=0, help="stop after this many events; 0: no limit")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rate", type=float, default=0, help="events per second in all; 0: as fast as responses come")
    arguments = parser.parse_args()
    if urlsplit(arguments.url).hostname != "127.0.0.1" or arguments.seconds > 600:
        parser.error("this load goes to 127.0.0.1 only, for at most 600 s")
    print(json.dumps(asyncio.run(run(arguments, sys.stdin.readline().strip()))))


if __name__ == "__main__":
    main()
