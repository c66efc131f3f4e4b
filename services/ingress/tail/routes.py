"""GET /v1/tail → audited → a follower's frames, until the caller leaves or its credentials are no longer good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from penstock.contracts import Contracts
from penstock.errors import PenstockError, Refused
from penstock.services.ingress.access.caller import HttpCaller
from penstock.services.ingress.access.from_request import FromCaller, verified
from penstock.services.ingress.broker.link import Link
from penstock.services.ingress.queries import audit_record
from penstock.services.ingress.queries.parameters import TailParameters
from penstock.services.ingress.tail.followers import Follower, Tail, Wanted

RECHECK_SECONDS = 2.0  # after which a tail of credentials that were withdrawn ends
STOPPING = "INGRESS_UNAVAILABLE"  # the code with which a tail ends that may be followed again
_SSE = {"text/event-stream": {"example": 'event: event\nid: EVENTS_HTTP:17\ndata: {"key":…}\n\n'}}
_NO_BUFFERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


def router(contracts: Contracts, link: Link, tail: Tail) -> APIRouter:
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
        await audit_record.write(connected.broker, caller, "tail", {"datasets": datasets, "types": sorted(types)})
        follower = await tail.open(connected.broker, Wanted(frozenset(types), wanted.entity), _last_seen(request))
        frames = _frames(tail, follower, _still(request, caller))
        return StreamingResponse(frames, media_type="text/event-stream", headers=_NO_BUFFERS)

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


async def _frames(tail: Tail, follower: Follower, until: Coroutine[Any, Any, str]) -> AsyncIterator[bytes]:
    guard = asyncio.create_task(until)
    guard.add_done_callback(lambda _: follower.close())
    try:
        async for frame in follower.frames():
            yield frame
        code = guard.result() if guard.done() else STOPPING
        yield b'event: end\ndata: {"code":"%b"}\n\n' % code.encode()
    finally:
        guard.cancel()
        await tail.leave(follower)
