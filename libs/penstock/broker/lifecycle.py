"""One connection: made, lost, made anew, renewed with its token, closed; and who is called when that happens.

open ─▶ up ⇄ lost ─▶ closed
         └─▶ a new token: handed over to a new connection (handover.py)
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from penstock.broker import metrics
from penstock.broker.answers import Answers
from penstock.broker.handover import HandOver
from penstock.broker.nats_client import CONNECT_ERRORS, NatsClient
from penstock.broker.reconnect import LONGEST_WAIT, Reconnect, is_refusal
from penstock.broker.token_renewal import Renewal, TokenSource
from penstock.contracts import nats_subjects as subjects
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.stopping import end_tasks

_log = structlog.get_logger("penstock.broker.lifecycle")


class Lifecycle:
    """The life of one connection. `on_error` gets what the server complains of."""

    def __init__(self, identity: str, answers: Answers, on_error: Callable[[PenstockError], None] | None) -> None:
        self.identity = identity
        self.up = asyncio.Event()
        self.closed = asyncio.Event()
        self.client = NatsClient(self._server_error, self._callback_failed)
        self.passing: set[int] = set()  # subscriptions that end with the connection
        self.on_reconnect: list[Callable[[], None]] = []  # called after every new connection
        self.on_disconnect: list[Callable[[], None]] = []  # called after every loss
        self._answers = answers
        self._on_error = on_error
        self._reconnect = Reconnect()
        self.hand_over = HandOver(self.client, answers, self._reconnect, self._lost)
        self._renewal: Renewal | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def open(
        self, url: str, seed: Path, patience: float, tls: ssl.SSLContext | None, source: TokenSource | None
    ) -> None:
        """Connects with the seed, or with tokens. Raises Refused CREDENTIALS_INVALID at once, and Unavailable
        BROKER_UNAVAILABLE when no server was there for `patience` seconds."""
        try:
            async with asyncio.timeout(patience):
                if source is not None:
                    self._renewal = Renewal(source, self.hand_over.run, metrics.TOKEN_EXPIRY.labels(self.identity).set)
                    await self._renewal.first()
                await self._connect([part.strip() for part in url.split(",")], seed, tls)
        except BaseException as error:
            await self.client.end()
            if not isinstance(error, TimeoutError):
                raise
            if self._reconnect.refused:
                reason = (
                    f"identity {self.identity} was not authenticated within {patience} s; the authority logs the reason"
                )
            else:
                reason = f"no NATS server at {url} within {patience} s"
            raise Unavailable("BROKER_UNAVAILABLE", reason) from None

    def keep_renewed(self) -> None:
        """Renews the token from now on, where there is one."""
        if self._renewal is not None:
            self._renewing = asyncio.create_task(self._renewal.run(), name="renewal")

    async def end_renewal(self) -> None:
        """Renews no more; nobody is called any more. A hand-over under way comes to its end."""
        self.on_reconnect.clear()
        self.hand_over.before.clear()
        await end_tasks(self._renewing)
        await self.hand_over.finish()

    async def close(self) -> None:
        """Closes; there is no way back."""
        self.up.clear()
        await self.client.end()
        self.up.clear()  # a new connection may just have been made
        self._answers.fail_all(Unavailable("BROKER_UNAVAILABLE", "the connection was closed"))
        self.closed.set()

    async def _connect(self, urls: list[str], seed: Path, tls: ssl.SSLContext | None) -> None:
        with_seed = {"nkeys_seed": str(seed)}
        credentials: dict[str, Any] = {"token": self._renewal.value} if self._renewal else with_seed
        while True:
            try:
                await self.client.open(
                    urls,
                    name=f"{self.identity} {os.getpid()}",
                    **credentials,
                    inbox_prefix=subjects.inbox(self.identity),
                    tls=tls,
                    error_cb=self._attempt_failed,
                    disconnected_cb=self._disconnected,
                    reconnected_cb=self._reconnected,
                    closed_cb=self._closed,
                    reconnect_to_server_handler=self._reconnect.choose,
                )
                break
            except CONNECT_ERRORS as error:
                # A token is tried again: whoever decides on it may be starting, too.
                if is_refusal(error) and self._renewal is None:
                    raise Refused(
                        "CREDENTIALS_INVALID", f"the server does not accept {seed} as identity {self.identity}"
                    ) from error
                await asyncio.sleep(LONGEST_WAIT / 4)
        self.up.set()
        metrics.BROKER_CONNECTED.labels(self.identity).set(1)

    # -- what nats-py reports

    def _server_error(self, text: str) -> None:
        violation = "permissions violation" in text.lower()
        metrics.BROKER_ERRORS.labels("permissions" if violation else "server").inc()
        _log.error("broker_error", identity=self.identity, reason=text)
        error = Refused("FORBIDDEN", f"identity {self.identity}: {text}")
        if violation and "publish to" in text.lower():
            self._answers.fail_subject(error, text.partition('"')[2].rpartition('"')[0])
        if self._on_error is not None:
            self._on_error(error if violation else Unavailable("BROKER_UNAVAILABLE", text))

    def _callback_failed(self, error: Exception) -> None:
        metrics.BROKER_ERRORS.labels("callback").inc()
        _log.error("broker_callback_failed", identity=self.identity, exc_info=error)

    async def _attempt_failed(self, error: Exception) -> None:
        self._reconnect.failed(error)
        self.client.drop_attempt()
        _log.warning("broker_connection_failed", identity=self.identity, reason=f"{type(error).__name__}: {error}")

    async def _disconnected(self) -> None:
        for number in self.passing:
            self.client.forget(number)
        self.passing.clear()
        if not self.hand_over.disconnected():
            self._lost()

    def _lost(self) -> None:
        if not self.up.is_set():
            return
        self.up.clear()
        self._reconnect.begin()
        metrics.BROKER_CONNECTED.labels(self.identity).set(0)
        _log.warning("broker_disconnected", identity=self.identity)
        lost = Unavailable("BROKER_UNAVAILABLE", "the connection broke before the answer", retry_after=1)
        self._answers.fail_all(lost)
        for callback in self.on_disconnect:
            callback()

    async def _reconnected(self) -> None:
        self.hand_over.reconnected()
        self.up.set()
        metrics.BROKER_RECONNECTS.inc()
        metrics.BROKER_CONNECTED.labels(self.identity).set(1)
        _log.info("broker_reconnected", identity=self.identity)
        for callback in self.on_reconnect:
            callback()

    async def _closed(self) -> None:
        self.up.clear()
        self.closed.set()
