"""A server with all identities, shared by the tests of one module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from penstock.stack import nats, up
from tests.support.place_factory import PlaceFactory
from tests.support.raw_clients import RawClients


@pytest.fixture(scope="module")
async def raw(place_factory: PlaceFactory, request: pytest.FixtureRequest) -> AsyncIterator[RawClients]:
    """NATS as the fleet has it, provisioned, for this module alone: what it does to the streams disturbs nobody."""
    place = place_factory.make(f"bus-{request.module.__name__.rpartition('.')[2]}")
    nats.wait_ready(place, nats.start(place, nats.fleet_conf(place)))
    raw = await RawClients(place).open()
    yield raw
    await raw.close()
    up.clean(place)
