"""A server with all identities, shared by the tests of one module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from stack import nats, up
from tests.broker.bus import Bus
from tests.places import Places, Running


@pytest.fixture(scope="module")
async def bus(places: Places, request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """NATS as the fleet has it, provisioned, for this module alone: what it does to the streams disturbs nobody."""
    place = places.make(f"bus-{request.module.__name__.rpartition('.')[2]}")
    nats.wait_ready(place, nats.start(place, nats.fleet_conf(place)))
    bus = await Bus(Running(place)).open()
    yield bus
    await bus.close()
    up.clean(place)
