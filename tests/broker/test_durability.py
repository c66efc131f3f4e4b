"""The ingress calls itself durable only on servers and a stream that put each accepted event on disk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import REGISTRY

from penstock.auth.connect import connect_as
from penstock.contracts import load
from penstock.errors import Refused
from penstock.provisioning import provision, stream_config
from penstock.services.ingress.broker import durable_settings
from penstock.services.ingress.broker.durability import STREAM, Durability
from penstock.stack import nats
from tests.support.processes import Processes


async def test_an_asynchronous_stream_and_an_old_server_are_not_durable(
    throwaway_nats: Callable[..., Processes], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = throwaway_nats(nats.fleet_conf).place
    config = stream_config.stream_config(STREAM, load().streams[STREAM], 1)
    hasty = {name: value for name, value in config.items() if value is not None} | {"persist_mode": "async"}
    operator = await connect_as("provision", place)
    ingress = await connect_as("ingress", place)
    try:
        durability = Durability(ingress)
        await durability.check()
        assert durability.durable, durability.reason  # no stream yet: nothing is accepted either
        await operator.jetstream.api(f"STREAM.CREATE.{STREAM}", hasty | {"allow_atomic": False})
        await durability.check()
        assert durability.durable is False
        assert durability.reason.startswith("STREAM_NOT_DURABLE: the stream EVENTS_HTTP has persist_mode 'async'. ")
        assert REGISTRY.get_sample_value("penstock_ingress_durable") == 0.0
        with pytest.raises(Refused, match="EVENTS_HTTP: persist_mode is 'async' and cannot become None in place"):
            await provision.apply(place)

        monkeypatch.setattr(durable_settings, "OLDEST_VERSION", (1000, 0, 0))
        await durability.check()
        assert "SERVER_TOO_OLD: older than 1000.0.0" in durability.reason
        assert "Upgrade every server" in durability.reason
    finally:
        await ingress.drain()
        await operator.drain()


@pytest.mark.parametrize(
    ("version", "old"),
    [
        ("2.14.6", True),
        ("2.15.0-RC.1", True),
        ("2.15.0", False),
        ("2.15.1", False),
        ("3.0.0-dev", False),
        ("dev", True),
    ],
)
def test_a_server_is_old_below_2_15_0_or_without_a_readable_version(version: str, old: bool) -> None:
    assert durable_settings.is_old(version) is old
