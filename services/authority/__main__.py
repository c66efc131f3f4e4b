"""settings → verifier, decider, trail, callout → requests until SIGTERM; those begun are then finished."""

from __future__ import annotations

import asyncio
import time

import structlog

from penstock.auth import callout_keys, issuers
from penstock.auth.denials import Denials
from penstock.auth.token_verifier import OidcVerifier
from penstock.broker import Broker
from penstock.contracts import load
from penstock.contracts.nats_subjects import AUTHORIZATION_REQUEST
from penstock.errors import PenstockError
from penstock.runtime import Parts, main
from penstock.services.authority.audit_trail import AuditTrail
from penstock.services.authority.callout import Callout
from penstock.services.authority.decide import Decider
from penstock.services.authority.disconnect import Disconnector
from penstock.services.authority.user_jwt import Signer
from penstock.services.authority.xkey import Envelope
from penstock.settings import Settings, load_settings
from penstock.stopping import run_until

_log = structlog.get_logger("penstock.authority")

QUEUE = "authority"  # the group in which replicas share the requests
SETTLE_SECONDS = 10.0


async def build(broker: Broker, settings: Settings) -> Parts:
    """The parts of the process. Raises Refused CREDENTIALS_INVALID or ISSUERS_INVALID, Unavailable for no list of
    denied."""
    folder = settings.credentials_folder
    denials = Denials(broker)
    trail = AuditTrail(broker, time.monotonic)
    callout = Callout(
        Signer(callout_keys.issuer(folder)),
        Envelope(callout_keys.curve(folder)),
        OidcVerifier(issuers.read(settings.issuers)),
        Decider(load(), denials.is_denied),
        trail,
        broker.send,
    )
    disconnector = Disconnector(broker, denials, trail)
    await denials.start()
    serving = asyncio.Event()

    async def serve(stop: asyncio.Event) -> None:
        subscription = await broker.subscribe(AUTHORIZATION_REQUEST, callout.take, queue=QUEUE)
        await broker.flush()
        serving.set()
        await stop.wait()
        await subscription.stop()  # from here on the other replicas are asked
        await broker.flush(1.0)
        await callout.finish()
        await denials.stop()

    async def disconnect_all(stop: asyncio.Event) -> None:
        await run_until(stop, disconnector.run())

    async def settle_trail(stop: asyncio.Event) -> None:
        await run_until(stop, _settling(trail))

    return Parts(
        background=[serve, disconnect_all, settle_trail],
        unready_reason=lambda: "" if serving.is_set() else "not asked yet",
    )


async def _settling(trail: AuditTrail) -> None:
    while True:
        await asyncio.sleep(SETTLE_SECONDS)
        try:
            await trail.settle()
        except PenstockError as error:
            _log.warning("counts_not_written", code=error.code, reason=error.detail)


if __name__ == "__main__":
    main("authority", build, load_settings())
