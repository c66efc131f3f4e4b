"""GET /v1/tail → audited → a follower's frames, until the caller leaves or its credentials are no longer good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from penstock.contracts import Contracts
from penstock.errors import PenstockError, Refused
from penstock.services.ingress.access.caller import HttpCaller
from penstock.services.ingress.access.from_request import FromCaller, verified
from penstock.services.ingress.access.places import Places
from penstock.services.ingress.broker.link import Link
from penstock.services.ingress.queries import audit_record
from penstock.services.ingress.queries.parameters import TailParameters
from penstock.services.ingress.tail.followers import Follower, Tail, Wanted

RECHECK_SECONDS = 2.0  # after which a tail of credentials that were withdrawn ends
STOPPING = "INGRESS_UNAVAILABLE"  # the code with which a tail ends that may be followed again
_SSE = {"text/event-stream": {"example": 'event: event\nid: EVENTS_HTTP:17\ndata: {"key":…}\n\n'}}
_NO_BUFFERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def router(contracts: Contracts, link: Link, tail: Tail, places: Places) -> APIRouter:
    """The path of the tail; the application's `state.verifier` authenticates the caller."""
    routes = APIRouter(prefix="/v1")

    @routes.get("/tail", tags=["read"], response_class=StreamingResponse, responses={200: {"content": _SSE}})
    async def follow(
        request: Request, caller: FromCaller, wanted: Annotated[TailParameters, Query()]
    ) -> StreamingResponse:
        """Follows events as they are stored, as server-sent events: `open`, `event`, `gap`; `end` when the credentials
        are no longer good or the API stops. With `Last-Event-ID`, what was stored since comes first."""
        caller.must_tail()
        datasets = caller.readable(wanted.dataset or None)
        types = {t.type for t in contracts.types.values() if t.dataset in datasets}
        if wanted.type:
            types &= set(wanted.type)
        connected = await link.use()
        await audit_record.write(connected.questions, caller, "tail", {"datasets": datasets, "types": sorted(types)})
        places.take(caller.identity)
        try:
            follower = await tail.open(connected.broker, Wanted(frozenset(types), wanted.entity), _last_seen(request))
        except BaseException:
            places.give_back(caller.identity)
            raise

        async def leave() -> None:
            places.give_back(caller.identity)
            await tail.leave(follower)

        return _Following(follower, _still(request, caller), leave)

    return routes


def _last_seen(request: Request) -> str:
    return request.headers.get("last-event-id", "")


async def _still(request: Request, caller: HttpCaller) -> str:
    """Returns the reason as soon as the request's credentials are no longer valid, or mean another caller."""
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        try:
            if await verified(request) != caller:
                return "FORBIDDEN"
        except Refused as error:
            return error.code
        except PenstockError:  # the issuer cannot be reached now
            continue


class _Following(StreamingResponse):
    """A follower's frames. `leave` is called however it ends, also if the client has gone before the first frame: the
    generator may never have begun then, and would be cancelled again at each await of its own `finally`."""

    def __init__(
        self, follower: Follower, until: Coroutine[Any, Any, str], leave: Callable[[], Awaitable[None]]
    ) -> None:
        self._leave = leave
        self._guard = asyncio.create_task(until)
        self._guard.add_done_callback(lambda _: follower.cut())
        super().__init__(_frames(follower, self._guard), media_type="text/event-stream", headers=_NO_BUFFERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends until the client or the follower ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._guard.cancel()
            await self._leave()


async def _frames(follower: Follower, guard: asyncio.Task[str]) -> AsyncIterator[bytes]:
    async for frame in follower.frames():
        yield frame
    code = guard.result() if guard.done() else STOPPING
    yield b'event: end\ndata: {"code":"%b"}\n\n' % code.encode()
