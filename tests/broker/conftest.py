"""A server with all identities, shared by the tests of one module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from penstock.stack import nats, up
from tests.support.broker_rig import Rig
from tests.support.broker_rig import conf as rig_conf
from tests.support.places import Places, Running
from tests.support.raw_clients import Bus


@pytest.fixture(scope="module")
async def bus(places: Places, request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    """NATS as the fleet has it, provisioned, for this module alone: what it does to the streams disturbs nobody."""
    place = places.make(f"bus-{request.module.__name__.rpartition('.')[2]}")
    nats.wait_ready(place, nats.start(place, nats.fleet_conf(place)))
    bus = await Bus(Running(place)).open()
    yield bus
    await bus.close()
    up.clean(place)


@pytest.fixture(scope="module")
async def rig(places: Places, request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """The same for tests of the library itself: it may be killed, and started again."""
    place = places.make(f"rig-{request.module.__name__.rpartition('.')[2]}")
    nats.wait_ready(place, nats.start(place, rig_conf(place)))
    rig = await Rig(Running(place)).open()
    yield rig
    await rig.close()
    up.clean(place)
