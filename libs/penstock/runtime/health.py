"""GET /livez · /readyz · /metrics, in the same loop as the work: what does not answer is stuck."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penstock.telemetry.health_answers import LIVE, readiness


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The process has handlers of its own."""
        yield


class Health:
    """The HTTP server of a worker. `unready_reasons` gives a sentence for each reason not to be ready, `notes` what an
    operator should know of a worker that is ready."""

    def __init__(
        self, host: str, port: int, unready_reasons: Callable[[], list[str]], notes: Callable[[], list[str]]
    ) -> None:
        self._unready_reasons = unready_reasons
        self._notes = notes
        routes = [
            Route("/livez", self._livez),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]
        config = uvicorn.Config(
            Starlette(routes=routes),
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listens. Raises OSError when the port is taken."""
        self._task = asyncio.create_task(self._serve(), name="health")
        up = asyncio.create_task(self._server.up.wait())
        await asyncio.wait([self._task, up], return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Stops listening."""
        self._server.should_exit = True
        if self._task is not None:
            await asyncio.wait([self._task], timeout=2.0)

    async def _serve(self) -> None:
        try:
            await self._server.serve()
        except SystemExit as error:  # uvicorn's way to say that it cannot bind
            raise OSError(f"cannot listen on port {self._server.config.port}") from error

    async def _livez(self, _: Request) -> Response:
        return JSONResponse(LIVE)

    async def _readyz(self, _: Request) -> Response:
        return readiness(self._unready_reasons(), self._notes())

    async def _metrics(self, _: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
