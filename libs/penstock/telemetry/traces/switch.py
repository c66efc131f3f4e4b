"""settings → the tracer of this process, or none. Off, nothing of OpenTelemetry is imported."""

from __future__ import annotations

import asyncio
import os
import platform
from importlib.metadata import version

from penstock.errors import Refused
from penstock.settings import Settings
from penstock.telemetry.traces.endpoint import endpoint, resource
from penstock.telemetry.traces.export import Exporter
from penstock.telemetry.traces.sender import Sender
from penstock.telemetry.traces.tracer import Tracer

STOP_SECONDS = 1.0  # for the spans that wait at the stop: less than what any grace period leaves

_tracer: Tracer | None = None
_sender: Sender | None = None


def tracer() -> Tracer | None:
    """The tracer of this process; None while traces are off."""
    return _tracer


def start(process: str, settings: Settings) -> None:
    """Switches traces on, where the settings say so; before the parts of the process are made.

    Raises Refused SETTING_INVALID, also when OpenTelemetry's protocol is not installed.
    """
    global _tracer, _sender
    if not settings.traces:
        return
    try:
        from penstock.telemetry.traces.otlp import Encoder
    except ImportError as error:
        raise Refused(
            "SETTING_INVALID", f"PENSTOCK_TRACES is on, and {error.name} is not installed: install penstock[traces]"
        ) from error
    about = {
        "service.namespace": "penstock",
        "service.name": process,
        "service.instance.id": f"{platform.node()}-{os.getpid()}",
        "service.version": version("penstock"),
    }
    encode = Encoder(resource(os.environ, about), version("penstock"))
    exporter = Exporter(endpoint(os.environ), encode)
    _sender = Sender(exporter, exporter.abort)
    _tracer = Tracer(
        _sender.add, ratio=settings.traces_ratio, events=settings.traces_events, errors=settings.traces_errors
    )


async def stop() -> None:
    """Sends what waits, and switches off; takes at most STOP_SECONDS."""
    global _tracer, _sender
    sender, _tracer, _sender = _sender, None, None
    if sender is not None:
        await asyncio.to_thread(sender.stop, STOP_SECONDS)
