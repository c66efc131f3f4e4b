"""A server with all identities, and operators on the rig's, shared by the tests of one module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from penstock.services.operator.__main__ import build
from penstock.stack import nats, up
from tests.support.broker_rig import Rig
from tests.support.operators import Operators, two_operators
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
    """The rig, with an operator on it."""
    async with RunningWorker(rig, "operator", build):
        yield rig


@pytest.fixture(scope="module")
async def console(operator: Rig) -> Console:
    """Its requests for replays, as the command line sends them."""
    return Console(await operator.broker("replayer"))


@pytest.fixture(scope="module")
def operators(rig: Rig) -> Iterator[Operators]:
    """Two of them as processes, to be killed."""
    with two_operators(rig) as operators:
        yield operators
