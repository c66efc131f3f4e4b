"""Every HTTP request → its endpoint; a request id on every answer, a problem (RFC 9457) for every error.

POST /v1/events goes to its own ASGI callable (accept.py), everything else to FastAPI.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from functools import lru_cache
from typing import Any

import orjson
import structlog
from prometheus_client import Counter, Histogram
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.contracts import problem
from penstock.errors import PenstockError, Unavailable
from penstock.services.ingress import metrics
from penstock.services.ingress.access.challenge import challenge
from penstock.services.ingress.http.body import MAX_REQUEST, Pace, limited
from penstock.services.ingress.http.connections import HEALTH
from penstock.services.ingress.http.problem import PROBLEM, Headers, retry_after
from penstock.services.ingress.http.protocol import NO_ROOM

EVENTS = "/v1/events"
PATHS = {
    EVENTS: EVENTS,
    **{
        f"/v1/{name}": f"/v1/{name}"
        for name in ("timeline", "search", "similar", "anomalies", "tail", "types", "count", "whoami")
    },
}
_PROCESS, _NUMBERS = os.urandom(8).hex(), itertools.count(1)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}\Z")
_NO_ROOM = metrics.SHARES_USED_UP.labels("connections")
_log = structlog.get_logger("penstock.ingress")


class HttpApp:
    """The outermost ASGI application."""

    def __init__(self, accept: ASGIApp, rest: ASGIApp, pace: Pace) -> None:
        self._accept = accept
        self._rest = rest
        self._pace = pace

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request; only for other protocols than HTTP errors come out of here."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        answer = Answer(send, request_id(scope))
        scope["request_id"] = answer.request_id
        try:
            if NO_ROOM in scope and scope["path"] not in HEALTH:
                _NO_ROOM.inc()
                raise Unavailable("OVERLOADED", "there are more connections than there may be", retry_after=1)
            if scope["path"] == EVENTS and scope["method"] == "POST":
                await self._accept(scope, receive, answer.send)
            else:
                await self._rest(scope, limited(receive, MAX_REQUEST, self._pace), answer.send)
        except ClientDisconnect:
            answer.status = 499
        except PenstockError as error:
            await answer.problem(error)
        except Exception as error:  # noqa: BLE001 - the caller gets an answer, the log the trace
            _log.error("request_failed", request_id=answer.request_id, path=scope["path"], exc_info=error)
            await answer.problem(PenstockError("INTERNAL", "the request could not be worked on"))
        answer.count(scope["path"])


class Answer:
    """Passes an answer on, with the request's id; knows whether it has begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._began = time.perf_counter()
        self.request_id = request_id
        self.status = 0

    async def send(self, message: Message) -> None:
        """An ASGI send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], (b"x-request-id", self.request_id.encode())]
        await self._send(message)

    async def problem(self, error: PenstockError) -> None:
        """Answers with the error, if nothing was answered yet."""
        if self.status:
            return
        status, headers, body = as_problem(error, self.request_id)
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def count(self, path: str) -> None:
        """Enters the request into the metrics."""
        counted, timed = _meters(route_of(path), self.status)
        counted.inc()
        timed.observe(time.perf_counter() - self._began)


def route_of(path: str) -> str:
    """The route of a path, in metrics and spans: few, whatever is asked for."""
    return PATHS.get(path) or ("/v1/events/{key}" if path.startswith("/v1/events/") else "other")


@lru_cache(maxsize=1024)
def _meters(path: str, status: int) -> tuple[Counter, Histogram]:
    return metrics.REQUESTS.labels(path, str(status)), metrics.REQUEST_SECONDS.labels(path)


def request_id(scope: Scope) -> str:
    """The caller's X-Request-Id if it is harmless, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.match(value):
            return str(value, "ascii")
    return f"{_PROCESS}-{next(_NUMBERS):x}"


def as_problem(error: PenstockError, request_id: str) -> tuple[int, Headers, bytes]:
    """Status, headers and body of an error."""
    members: dict[str, Any] = {**problem(error), "request_id": request_id}
    headers = [PROBLEM]
    if isinstance(error, Unavailable):
        headers.append(retry_after(error))
    headers += challenge(members["status"], error)
    if error.code == "REQUEST_TIMED_OUT":
        headers.append((b"connection", b"close"))  # RFC 9110 section 15.5.9: nobody waits for the rest
    if error.code == "CONTENT_ENCODING_UNKNOWN":
        headers.append((b"accept-encoding", b"identity"))  # RFC 9110 section 12.5.3
    body = orjson.dumps(members)
    headers.append((b"content-length", b"%d" % len(body)))
    return members["status"], headers, body
