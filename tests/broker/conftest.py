"""Servers with what runs on them, shared by the tests of one module."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from penstock.services.operator.__main__ import build as build_operator
from penstock.stack import nats, up
from tests.support.broker_rig import Rig
from tests.support.place_factory import PlaceFactory
from tests.support.raw_clients import RawClients
from tests.support.replay_console import Console
from tests.support.workers import RunningWorker


@pytest.fixture(scope="module")
async def raw(place_factory: PlaceFactory, request: pytest.FixtureRequest) -> AsyncIterator[RawClients]:
    """NATS as the fleet has it, provisioned, for this module alone: what it does to the streams disturbs nobody."""
    place = place_factory.make(f"bus-{request.module.__name__.rpartition('.')[2]}")
    nats.wait_ready(place, nats.start(place, nats.fleet_conf(place)))
    raw = await RawClients(place).open()
    yield raw
    await raw.close()
    up.clean(place)


@pytest.fixture(scope="module")
async def operator(rig: Rig) -> AsyncIterator[Rig]:
    """The rig of the module, with an operator at work."""
    async with RunningWorker(rig, "operator", build_operator):
        yield rig


@pytest.fixture(scope="module")
async def console(operator: Rig) -> Console:
    """Asks it."""
    return Console(await operator.broker("replayer"))
