"""service ─▶ line ─▶ server: a TCP proxy on loopback that can cut, refuse, slow down or hold up what passes; the one to
Elasticsearch can also answer in its place that it is too busy.

    plain: bytes both ways                     busy: request by request, 429 for it all or for some lines of a bulk
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import httpx
import orjson

CHUNK = 64 * 1024
BUSY = 429
PRODUCT = {"x-elastic-product": "Elasticsearch", "content-type": "application/vnd.elasticsearch+json;compatible-with=9"}
_NOT_FORWARDED = {"host", "content-length", "accept-encoding", "connection"}


class Line:
    """One line. Faults last until `heal`; `cut` is over at once."""

    def __init__(self, name: str, target: int, rng: random.Random) -> None:
        self.name = name
        self.target = target
        self.delay = 0.0  # seconds that each piece takes longer
        self.refusing = False
        self.busy = False
        self._rng = rng
        self._passing = asyncio.Event()
        self._passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> Line:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        """Listens no more, and ends every connection."""
        self.heal()
        if self._server is not None:
            self._server.close()
            self.cut()
            await self._server.wait_closed()

    def cut(self) -> None:
        """Breaks every connection; new ones are welcome."""
        for writer in self._writers:
            writer.transport.abort()

    def refuse(self) -> None:
        """Breaks every connection, and each new one."""
        self.refusing = True
        self.cut()

    def hold_up(self) -> None:
        """Lets nothing pass; the connections stay."""
        self._passing.clear()

    def be_busy(self) -> None:
        """Answers like an Elasticsearch that is pushed too hard."""
        self.busy = True
        self.cut()

    def heal(self) -> None:
        """As if nothing had been."""
        if self.busy or self.refusing:
            self.cut()
        self.delay, self.refusing, self.busy = 0.0, False, False
        self._passing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.refusing:
                return
            if self.busy:
                await self._answer(reader, writer)
            else:
                await self.forward(reader, writer)
        except (OSError, asyncio.IncompleteReadError, httpx.HTTPError):
            pass  # whoever is at the other end sees the connection break
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connects to the server for one client, and passes bytes both ways until either ends."""
        there, out = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers.add(out)
        pumps = [asyncio.create_task(self._pump(reader, out)), asyncio.create_task(self._pump(there, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            self._writers.discard(out)
            out.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            await self._passing.wait()
            writer.write(data)
            await writer.drain()

    # -- in the place of Elasticsearch

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.target}", timeout=30.0) as client:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if self._rng.random() < 0.5:
                    status, content = BUSY, orjson.dumps({"error": _rejected(), "status": BUSY})
                else:
                    passed = {name: value for name, value in headers.items() if name not in _NOT_FORWARDED}
                    answer = await client.request(method, path, headers=passed, content=body)
                    status, content = answer.status_code, answer.content
                    if "/_bulk" in path and status == 200:
                        content = self._partly(content)
                lines = [f"HTTP/1.1 {status} X", *(f"{n}: {v}" for n, v in PRODUCT.items())]
                lines += [f"content-length: {len(content)}", "", ""]
                writer.write("\r\n".join(lines).encode() + (b"" if method == "HEAD" else content))
                await writer.drain()

    def _partly(self, content: bytes) -> bytes:
        """Says of a third of the lines that they were refused. They were not: the worker sends them again all the
        same, and finds them there."""
        answer = orjson.loads(content)
        for item in answer["items"]:
            if self._rng.random() < 0.3:
                for action in item:
                    item[action] = {"status": BUSY, "error": _rejected()}
                answer["errors"] = True
        return orjson.dumps(answer)


def _rejected() -> dict[str, str]:
    return {"type": "es_rejected_execution_exception", "reason": "rejected execution of coordinating operation"}


async def closed(lines: list[Line]) -> None:
    """Closes them all."""
    for line in lines:
        with suppress(OSError):
            await line.close()
