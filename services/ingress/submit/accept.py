"""POST /v1/events → events cut and checked → committed to EVENTS_HTTP → a result for each.

A plain ASGI callable: no framework and no models between the socket and the check. The bytes of an event go to the
stream as they came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from penstock.broker import Stored
from penstock.contracts import Contracts
from penstock.errors import PenstockError, Refused, Unavailable
from penstock.events import Checker, Stamps
from penstock.recent_cache import RecentCache
from penstock.services.ingress import metrics
from penstock.services.ingress.access.client_address import ClientAddresses
from penstock.services.ingress.access.company import Company
from penstock.services.ingress.access.credentials import Verifier
from penstock.services.ingress.broker.link import Link
from penstock.services.ingress.formats.cloudevents.modes import from_binary, mode_of
from penstock.services.ingress.formats.cloudevents.split import check_grammar, guess, split
from penstock.services.ingress.http.body import pace_of, read_body
from penstock.services.ingress.http.body_budget import BodyBudget
from penstock.services.ingress.http.protocol import BODY_IS_HERE
from penstock.services.ingress.settings import IngressSettings
from penstock.services.ingress.submit.active_models import ActiveModels
from penstock.services.ingress.submit.event_context import sending
from penstock.services.ingress.submit.event_pace import EventPace
from penstock.services.ingress.submit.request import MAX_EVENTS, Request
from penstock.telemetry.traces import NOTHING, step

KEYS_REMEMBERED = 32_768  # so that a sender who tries again is told `duplicate`, and the fleet is spared the work
STREAM = "EVENTS_HTTP"  # as spans name it; the broker knows by the subject
EXPECTED = {"structured": "an event as a JSON object", "batched": "events as a JSON array"}
SLICE = 50  # events checked before others get their turn

_COMMIT_SHARE = metrics.SHARES_USED_UP.labels("commit_identity")
_EVENTS = {status: metrics.EVENTS.labels(status) for status in ("accepted", "duplicate", "refused", "unavailable")}


class Accept:
    """The endpoint. Errors of the whole request are raised as PenstockError; HttpApp around it answers them."""

    def __init__(
        self,
        contracts: Contracts,
        verifier: Verifier,
        link: Link,
        clients: ClientAddresses,
        settings: IngressSettings,
        company: Company,
    ) -> None:
        self._checker = Checker(contracts)
        self._verifier = verifier
        self._link = link
        self._recent: RecentCache[str, Stored] = RecentCache(KEYS_REMEMBERED)
        self._stamps = Stamps()
        self._models = ActiveModels()
        self._clients = clients
        self._pace = pace_of(settings)
        self._budget = BodyBudget(settings)
        self._company = company
        self._events = EventPace(settings.ingress_events_identity, company)
        metrics.BODY_BYTES.set_function(lambda: self._budget.held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request. Raises PenstockError, or ClientDisconnect."""
        caller = await self._verifier.verify(scope)
        caller.must_send()
        self._company.note(caller.identity)
        self._events.must_have_room(caller.identity)
        headers = dict(scope["headers"])
        with self._budget.lease(caller.identity, self._clients.of(scope, headers)) as lease:
            mode = mode_of(headers)
            body = await read_body(
                receive, headers.get(b"content-length"), lease, self._pace, here=BODY_IS_HERE in scope
            )
            if not body and mode != "binary":
                raise Refused("JSON_INVALID", f"the body is empty; send {EXPECTED[mode]}")
            if mode == "batched":
                guessed = guess(body, MAX_EVENTS)
                request = Request(guessed or split(body, MAX_EVENTS), caller, headers, body, guessed=bool(guessed))
            else:
                request = Request([from_binary(scope["headers"], body) if mode == "binary" else body], caller, headers)
            del body
            begin = self._events.begin(caller.identity, len(request.items))
            try:
                await self._check(request)
                await self._commit(request, begin)
            except BaseException:
                request.close()
                raise
        connected = self._link.connected
        with NOTHING if request.ticket is None else step("wait for workers", "internal"):
            complete = await request.wait(self._models, connected.broker if connected is not None else None)
        await self._answer(request, complete, send)

    async def _answer(self, request: Request, complete: bool, send: Send) -> None:
        durable = self._link.durable
        counts = request.results.counts()
        status, headers, body = request.results.answer(counts, durable=durable, complete=complete)
        if not durable:
            headers.append((b"penstock-durable", b"no"))
        if request.ticket is not None:
            headers.append((b"preference-applied", b"wait=%d" % request.seconds))
        headers.append((b"content-length", b"%d" % len(body)))
        for name, count in counts.items():
            if count:
                _EVENTS[name].inc(count)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _check(self, request: Request) -> None:
        """Sorts the events into those to publish, duplicates, and refused ones. Raises Refused for the whole batch."""
        connected = self._link.connected
        if request.seconds and connected is not None:
            request.ticket = connected.waiting.open()
        try:
            await self._check_all(request)
        except _WrongCutError:
            request.cut_again()
            await self._check_all(request)
        if request.whole is not None and any(error.code == "JSON_INVALID" for error in request.results.errors):
            check_grammar(request.whole)
        request.forget_input()

    async def _check_all(self, request: Request) -> None:
        for start in range(0, len(request.items), SLICE):
            if start:
                await asyncio.sleep(0)
            for index in range(start, min(start + SLICE, len(request.items))):
                self._check_one(request, index)

    def _check_one(self, request: Request, index: int) -> None:
        caller = request.caller
        try:
            raw, value = self._checker.parse(request.items[index])
        except Refused as error:
            if request.guessed:
                raise _WrongCutError from None
            request.results.failed(index, error)
            return
        now_ns = self._stamps.of(caller.identity, raw, value, request.came_ns)
        try:
            event = self._checker.accept(raw, value, publisher=caller.identity, door="http", now_ns=now_ns, stamp=True)
            if event.type.type not in caller.types:
                raise Refused("FORBIDDEN", f"{caller.identity} may not send {event.type.type}", pointer="/type")
            request.must_be_new(value)
        except Refused as error:
            request.results.failed(index, error)
            return
        stored = self._recent.get(event.key)
        if stored is not None:
            request.results.duplicate(index, event.key, stored)
            return
        request.add(index, event, stamped=value.get("time") is None)

    async def _commit(self, request: Request, begin: float) -> None:
        """Publishes, and enters what became of each event."""
        if begin and request.outgoing:
            async for first, end in self._events.portions(request.caller.identity, begin, len(request.outgoing)):
                await self._commit_part(request, slice(first, end))
        elif request.outgoing:
            await self._commit_part(request, slice(None))
        request.forget_events()

    async def _commit_part(self, request: Request, part: slice) -> None:
        outgoing = request.outgoing[part]
        stored: Sequence[Stored | PenstockError]
        try:
            connected = await self._link.use()
            with sending(STREAM, outgoing, first=not part.start):
                stored = await connected.committer.submit(outgoing, request.caller.identity)
        except Unavailable as error:
            if error.code == "EVENT_SHARE_USED":
                _COMMIT_SHARE.inc()
            stored = [error] * len(outgoing)
        for (index, key, stamped), result in zip(request.pending[part], stored, strict=True):
            if isinstance(result, PenstockError):
                request.results.failed(index, result, key)
            else:
                self._recent.put(key, result)
                request.stored.append((index, key, stamped, result))
        self._link.committed(stored)


class _WrongCutError(Exception):
    """An item is not JSON: perhaps it was not cut where it ends."""
