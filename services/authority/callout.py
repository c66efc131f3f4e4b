"""$SYS.REQ.USER.AUTH (sealed request) → token verified → decision → audited → sealed answer with a user JWT, or no.

https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_callout (NATS ADR-26)

Replicas share the requests by a queue group. What cannot be read gets no answer: it came from nobody that we know.
A refusal is answered at once, and never says why: the reason is in the log and on the trail.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from penstock.auth.token_verifier import Claims, TokenVerifier
from penstock.broker import Message
from penstock.errors import PenstockError
from penstock.services.authority import authorization_request, metrics, user_jwt
from penstock.services.authority.audit_trail import AuditTrail
from penstock.services.authority.authorization_request import Request
from penstock.services.authority.decide import ACCOUNT, Decider
from penstock.services.authority.user_jwt import Signer
from penstock.services.authority.xkey import SERVER_KEY_HEADER, Envelope

_log = structlog.get_logger("penstock.authority")

MOST_IN_FLIGHT = 512
PATIENCE = 4.0  # seconds; the server gives up after 5
REFUSED = "not admitted"

Reply = Callable[[str, bytes], None]


class Callout:
    """Answers requests. `reply` publishes an answer; `now` gives Unix seconds."""

    def __init__(
        self,
        signer: Signer,
        envelope: Envelope,
        verifier: TokenVerifier,
        decider: Decider,
        trail: AuditTrail,
        reply: Reply,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._signer = signer
        self._envelope = envelope
        self._verifier = verifier
        self._decider = decider
        self._trail = trail
        self._reply = reply
        self._now = now
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, message: Message) -> None:
        """Starts on a request. Above MOST_IN_FLIGHT it is left: the client comes again, by then there may be room."""
        if len(self._tasks) >= MOST_IN_FLIGHT:
            metrics.REQUESTS.labels("left").inc()
            return
        task = asyncio.create_task(self._serve(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self, timeout: float = PATIENCE) -> None:
        """Waits for the requests begun."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=timeout)

    async def _serve(self, message: Message) -> None:
        began = time.perf_counter()
        result = "error"
        try:
            async with asyncio.timeout(PATIENCE):
                result = await self._answer(message)
        except TimeoutError:
            _log.error("not_answered", reason=f"not decided within {PATIENCE} s")
        except ValueError as error:
            result = "unreadable"
            _log.error("question_unreadable", reason=str(error)[:200])
        except PenstockError as error:
            _log.error("not_answered", code=error.code, reason=error.detail)
        except Exception:
            _log.exception("not_answered")
            raise
        finally:
            metrics.REQUESTS.labels(result).inc()
            metrics.REQUEST_SECONDS.observe(time.perf_counter() - began)

    async def _answer(self, message: Message) -> str:
        server_key = message.headers.get(SERVER_KEY_HEADER, "")
        if not server_key:
            raise ValueError("not encrypted: the server's configuration has no xkey")
        text = self._envelope.open(message.data, server_key).decode()
        asked = authorization_request.read(text, self._signer.public_key)
        jwt = await self._judged(asked)
        answer = user_jwt.response(
            self._signer,
            key=asked.connection_key,
            server=asked.server,
            now=self._now(),
            jwt=jwt,
            error="" if jwt else REFUSED,
        )
        self._reply(message.reply, self._envelope.seal(answer.encode(), server_key))
        return "admitted" if jwt else "refused"

    async def _judged(self, asked: Request) -> str:
        """The user JWT, or "" for a refusal; either is on the trail by then."""
        claims: Claims | None = None
        try:
            claims = await self._verifier.verify(asked.token)
            admission = self._decider.decide(claims, self._now())
        except PenstockError as error:
            await self._trail.refused(asked, claims, error)
            return ""
        await self._trail.admitted(asked, claims, admission)
        return user_jwt.user(
            self._signer,
            key=asked.connection_key,
            identity=admission.who.identity,
            account=ACCOUNT,
            allowed=admission.permissions,
            expires_at=admission.expires_at,
            now=self._now(),
        )
