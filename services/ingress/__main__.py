"""The process: settings → HTTP server and broker → SIGTERM → tails ended, requests finished → exit."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Collection, Iterator
from typing import cast

import structlog
import uvicorn

from penstock import gc_tuning
from penstock.contracts import load
from penstock.errors import PenstockError
from penstock.services.ingress.app import Ingress
from penstock.services.ingress.http.connections import Connection, Connections
from penstock.services.ingress.http.protocol import bounded
from penstock.services.ingress.settings import IngressSettings
from penstock.telemetry import configure_logging, traces

KEEP_ALIVE_SECONDS = 75  # longer than a proxy keeps idle connections, or it sends into closed ones
STOP_SECONDS = 8

_log = structlog.get_logger("penstock.ingress")


class Server(uvicorn.Server):
    """Ends what would keep it from stopping."""

    def __init__(self, config: uvicorn.Config, ingress: Ingress) -> None:
        super().__init__(config)
        self._ingress = ingress

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own would give itself the signal again at the end: a stop that was asked for ends with 0."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told, number)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _told(self, number: signal.Signals) -> None:
        self._ingress.end()
        self.handle_exit(number, None)


async def serve(settings: IngressSettings) -> int:
    """Serves until SIGTERM; returns the exit status: 1 when the broker refuses the credentials."""
    ingress = Ingress(settings, load())
    connections = Connections(settings)
    config = uvicorn.Config(
        ingress.http,
        host=settings.host,
        port=settings.port or settings.local_port("ingress", settings.instance),
        loop="asyncio",
        http=bounded(connections),  # on httptools: the pure Python parser costs four times as much
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = Server(config, ingress)
    open_now = cast(Collection[Connection], server.server_state.connections)
    watches = [asyncio.create_task(_stop_on_fault(ingress, server)), asyncio.create_task(connections.watch(open_now))]
    gc_tuning.freeze_live_objects()
    await server.serve()
    for watch in watches:
        watch.cancel()
    await traces.stop()
    return 0 if ingress.link.fault is None else 1


async def _stop_on_fault(ingress: Ingress, server: Server) -> None:
    fault = await ingress.link.failed()
    _log.critical("broker_refused", reason=str(fault))
    server.should_exit = True


def main() -> None:
    """Runs the ingress; ends the process."""
    settings = IngressSettings()
    configure_logging(settings.log_level, "ingress")
    try:
        traces.start("ingress", settings)
    except PenstockError as error:
        _log.critical("ingress_failed", reason=str(error))
        sys.exit(1)
    sys.exit(asyncio.run(serve(settings)))


if __name__ == "__main__":
    main()
