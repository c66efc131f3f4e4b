"""HAProxy as the stack starts it, in front of an upstream that notes what it gets: the ingress's own HTTP parser."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

from penstock.provisioning import certificate
from penstock.services.edge import configuration, running
from penstock.services.ingress.http.protocol import Protocol
from penstock.stack import haproxy, process
from penstock.stack.place import CHECKOUT, Place
from tests.support.mint import Mint
from tests.support.until import BOUND, until

KEY = "pk_0a1b2c3d_" + "A" * 43  # has the form of a key; whether it opens anything is for the ingress to say


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as the upstream's parser understood it."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for each, value in self.headers if each == name]


@dataclass
class Upstream:
    """An HTTP server with the ingress's parser; `hold` may keep requests from being answered."""

    port: int
    seen: list[Seen] = field(default_factory=list)
    hold: Callable[[], Awaitable[None]] | None = None
    breaks: bool = False  # ends the connection instead of answering, as a process does that is killed

    async def __aenter__(self) -> Upstream:
        config = uvicorn.Config(
            self.app, host="127.0.0.1", port=self.port, http=Protocol, log_config=None, lifespan="off",
            interface="asgi3", proxy_headers=False, timeout_keep_alive=75, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self.server = uvicorn.Server(config)
        self.server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._task = asyncio.create_task(self.server.serve())
        await until(lambda: self.server.started or self._task.done())
        assert self.server.started
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.should_exit = True
        async with asyncio.timeout(BOUND):
            await self._task

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        if scope["path"] != "/readyz":
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
            self.seen.append(Seen(scope["method"], scope["raw_path"].decode(), headers, body))
            if self.hold is not None:
                await self.hold()
            if self.breaks:
                send.__self__.transport.abort()  # type: ignore[attr-defined]  # of uvicorn's own send
                return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


class Edge:
    """The edge of a place. `settings` are those of EdgeSettings, in upper case."""

    def __init__(self, place: Place, **settings: object) -> None:
        self.place = place
        self.settings = {f"PENSTOCK_EDGE_{name}": str(value) for name, value in settings.items()}
        self.url = f"https://127.0.0.1:{place.local_port('edge')}"

    async def start(self) -> Edge:
        """Starts it; an ingress must answer already."""
        self.context = ssl.create_default_context(cafile=str(certificate.ensure(self.place.folder("tls"))))
        child = haproxy.child(self.place)
        child = replace(child, environment={**child.environment, **self.settings})
        self.environment = child.environment
        record = await asyncio.to_thread(process.start, self.place, child)
        await asyncio.to_thread(haproxy.wait_ready, self.place, record)
        self.client = self.new_client()
        return self

    def new_client(self) -> httpx.AsyncClient:
        """A client without connections yet."""
        return httpx.AsyncClient(base_url=self.url, verify=self.context, timeout=BOUND)

    async def close(self) -> None:
        await self.client.aclose()
        await asyncio.to_thread(process.stop, self.place, haproxy.NAME)

    async def get(self, credentials: str | None, path: str = "/v1/types", **headers: str) -> httpx.Response:
        given = {} if credentials is None else {"authorization": f"Bearer {credentials}"}
        return await self.client.get(path, headers=given | {k.replace("_", "-"): v for k, v in headers.items()})

    async def anew(self, credentials: str) -> httpx.Response:
        """GET on a new connection: one that was open before a reload is answered once more by the old process."""
        async with self.new_client() as client:
            return await client.get("/v1/types", headers={"authorization": f"Bearer {credentials}"})

    async def reload(self) -> int:
        return await asyncio.to_thread(running.reload, self.place, configuration.folder(self.place))

    async def command(self, *words: str) -> str:
        """`penstock edge …`, as an operator would."""
        done = await asyncio.to_thread(
            partial(
                subprocess.run, [sys.executable, "-m", "penstock.cli.main", "edge", *words], cwd=CHECKOUT,
                env={"PATH": "/usr/bin:/bin", **self.place.environment(), **self.environment},
                capture_output=True, text=True, timeout=BOUND, check=False,
            )
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    async def raw(self, data: bytes) -> tuple[list[int], bytes]:
        """Sends bytes on a connection of its own; the statuses and bytes of all answers until it is closed."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.place.local_port("edge"), ssl=self.context, server_hostname="127.0.0.1"
        )
        writer.write(data)
        try:
            async with asyncio.timeout(BOUND):
                answer = await reader.read(-1)
        except ConnectionResetError:
            answer = b""
        finally:
            writer.transport.abort()
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)], answer

    async def ask(self, words: str) -> str:
        """HAProxy's own command line."""
        reader, writer = await asyncio.open_unix_connection(configuration.folder(self.place).admin)
        writer.write(words.encode() + b"\n")
        async with asyncio.timeout(BOUND):
            answer = await reader.read(-1)
        writer.close()
        return answer.decode()

    async def sees(self, server: str) -> None:
        """Waits until HAProxy's own checks have found an ingress ready."""

        async def ready() -> bool:
            return [server, "2"] in [line.split()[3:6:2] for line in await self._states()]

        await until(ready)

    async def _states(self) -> list[str]:
        """Lines of be_id be_name srv_id srv_name srv_addr srv_op_state …; state 2 is running."""
        return [line for line in (await self.ask("show servers state ingress")).splitlines() if line[:1].isdigit()][1:]

    async def logged(self, request_id: str) -> dict[str, Any]:
        """The line of the access log of a request that was answered; HAProxy writes it a little after the answer."""
        return await until(lambda: self._line(request_id), what=f"a line with {request_id}")

    def refused_unread(self) -> int:
        """How many requests had a head that the edge refused before it had read it whole."""
        return sum(entry["request_id"] == "-" and entry["status"] == 400 for entry in self._lines())

    def _line(self, request_id: str) -> dict[str, Any] | None:
        return next((entry for entry in self._lines() if entry["request_id"] == request_id), None)

    def _lines(self) -> Iterator[dict[str, Any]]:
        """The access log, newest first. What follows its last newline may be half a line."""
        lines = self.place.log(haproxy.NAME).read_text().rpartition("\n")[0].splitlines()
        return (json.loads(line) for line in reversed(lines) if line.startswith("{"))


def trusting(place: Place) -> tuple[Place, Mint]:
    """The place with an issuer that it trusts, and that issuer."""
    mint = Mint(place.state / "mint")
    return place.model_copy(update={"issuers_file": mint.issuers_file}), mint
