"""Strangers, a greedy sender, a greedy reader and a poison publisher at once, for two minutes: an honest sender and an
honest reader go on.

Quiet and strained run are compared within the test, on one stack. What strains it has an address and a priority of its
own, waits as refusals say, and keeps CONNECTIONS connections busy: on two cores more would measure the generators.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import orjson
import pytest

from penstock.auth import api_keys
from penstock.contracts import load
from penstock.provisioning import certificate
from penstock.stack import up
from penstock.stack.place import CHECKOUT, Place
from tests.support import honest
from tests.support.default_stack import DefaultStack
from tests.support.place_factory import PlaceFactory
from tests.support.processes import Processes
from tests.support.strain_clients import KINDS, Orders, encode
from tests.support.until import BOUND

pytestmark = pytest.mark.timeout(900)

# As many requests at one time as full batches and the reader's share of the tails can make use of.
CONNECTIONS = 16
SETTLED = 5.0  # seconds after the beginning of the strain: that it begins is not measured, only that it goes on
SUCCESS, SLOWER = 0.999, 2.0
# Addresses of the loopback network; none of them is the edge's.
SENDER, READER = "127.0.0.2", "127.0.0.3"
KEYS = {"greedy_sender": "sender", "greedy_reader": "reader"}


class Strain:
    """The programs of tests/support/strain_clients.py on a stack, each with a key and an address of its own."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.url = f"https://127.0.0.1:{place.local_port('edge')}"
        self.counts: dict[str, dict[str, int]] = {}

    def key(self, identity: str, role: str) -> str:
        """A new API key, which lives as long as the test."""
        text, _ = api_keys.create(
            self._place.keys, load(), identity=identity, datasets=["*"], types=["*"], roles=[role],
            now_ns=time.time_ns(),
        )  # fmt: skip
        return text

    @asynccontextmanager
    async def at_work(self, kinds: Iterable[str], connections: int) -> AsyncIterator[None]:
        """They work for the time of the block; `counts` says then what they met with."""
        programs = {}
        for number, kind in enumerate(kinds):
            programs[kind] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.strain_clients", kind),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=CHECKOUT,
                env={**os.environ, **self._place.environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
            orders = Orders(
                port=self._place.local_port("edge"), ca=str(certificate.ensure(self._place.folder("tls"))),
                address=f"127.0.0.{number + 4}", key=self.key(kind, KEYS[kind]) if kind in KEYS else "",
                connections=connections, now_ns=time.time_ns() // 1_000_000 * 1_000_000,
            )  # fmt: skip
            writer = programs[kind].stdin
            assert writer
            writer.write(encode(orders))
        try:
            yield
        finally:
            for kind, program in programs.items():
                async with asyncio.timeout(BOUND):
                    said, _ = await program.communicate(b"\n")  # ends its stdin
                self.counts[kind] = orjson.loads(said or b"{}")


async def compare(
    stack: DefaultStack, seconds: float, kinds: Iterable[str] = KINDS, connections: int = CONNECTIONS
) -> tuple[tuple[honest.Run, honest.Run], tuple[honest.Run, honest.Run], dict[str, dict[str, int]]]:
    """(sender, reader) of a quiet run, then of one under strain; and what those that strain met with."""
    strain = Strain(stack.place)
    sender = honest.client(strain.url, stack.context, SENDER, strain.key("honest_sender", "sender"))
    reader = honest.client(strain.url, stack.context, READER, strain.key("honest_reader", "reader"))
    async with sender, reader:
        await honest.run(sender, reader, SETTLED)  # connections, caches, and something to find
        quiet = await honest.run(sender, reader, seconds)
        async with strain.at_work(kinds, connections):
            await asyncio.sleep(SETTLED)
            strained = await honest.run(sender, reader, seconds)
    for what, before, after in zip(("sender", "reader"), quiet, strained, strict=True):
        print(f"{what}: quiet {before}; under strain {after}")
    print(strain.counts)
    return quiet, strained, strain.counts


@pytest.fixture(scope="module")
async def stack(fleet: Processes, haproxy: None) -> AsyncIterator[DefaultStack]:
    stack = await DefaultStack(fleet.place).open()
    yield stack
    await stack.close()


@pytest.mark.soak
async def test_every_honest_request_is_answered_beside_a_greedy_sender_and_a_greedy_reader(stack: DefaultStack) -> None:
    """Too few requests for a p99, and other tests may run beside: that is for the two minutes below."""
    _, strained, counts = await compare(stack, 8.0, (*KEYS, "strangers"), connections=8)
    for run in strained:
        assert run.failed == []
        assert run.percentile(0.5) < 1.0
    assert counts["greedy_sender"]["202"] > 0


@pytest.mark.soak
async def test_two_minutes_of_strain_do_not_reach_honest_clients(place_factory: PlaceFactory, haproxy: None) -> None:
    place = place_factory.make("strain", auth="callout")
    await asyncio.to_thread(up.up, place)
    stack = await DefaultStack(place).open()
    try:
        quiet, strained, counts = await compare(stack, 120.0)
    finally:
        await stack.close()
        await asyncio.to_thread(up.clean, place)
    for before, after in zip(quiet, strained, strict=True):
        assert after.success >= SUCCESS, after.failed
        assert after.percentile(0.99) <= SLOWER * before.percentile(0.99), (str(before), str(after))
    # Each was at work, and the sender met with its bound.
    assert counts["greedy_sender"]["202"] > 0
    assert counts["greedy_sender"]["429 EVENT_SHARE_USED"] > 0
    assert counts["greedy_reader"]["200"] > 0
    assert counts["poison_publisher"]["stored"] > 0
    assert counts["strangers"]["silent closed"] > 0
